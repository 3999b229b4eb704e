"""Messages of Sparkplug B for protobuf's own library, from the field tables of the specification.

Sparkplug 3.0.0, 6.4.1: written as tables here; field numbers and types are facts of the format.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TABLES = {
    "DataSetValue": "1 int_value u32, 2 long_value u64, 3 float_value f, 4 double_value d,"
    "5 boolean_value b, 6 string_value s",
    "Row": "1 elements *DataSetValue",
    "DataSet": "1 num_of_columns u64, 2 columns *s, 3 types *u32, 4 rows *Row",
    "PropertyValue": "1 type u32, 2 is_null b, 3 int_value u32, 4 long_value u64, 5 float_value f,"
    "6 double_value d, 7 boolean_value b, 8 string_value s, 9 propertyset_value PropertySet,"
    "10 propertysets_value PropertySetList",
    "PropertySet": "1 keys *s, 2 values *PropertyValue",
    "PropertySetList": "1 propertyset *PropertySet",
    "MetaData": "1 is_multi_part b, 2 content_type s, 3 size u64, 4 seq u64, 5 file_name s,"
    "6 file_type s, 7 md5 s, 8 description s",
    "Parameter": "1 name s, 2 type u32, 3 int_value u32, 4 long_value u64, 5 float_value f,"
    "6 double_value d, 7 boolean_value b, 8 string_value s",
    "Template": "1 version s, 2 metrics *Metric, 3 parameters *Parameter, 4 template_ref s,"
    "5 is_definition b",
    "Metric": "1 name s, 2 alias u64, 3 timestamp u64, 4 datatype u32, 5 is_historical b,"
    "6 is_transient b, 7 is_null b, 8 metadata MetaData, 9 properties PropertySet,"
    "10 int_value u32, 11 long_value u64, 12 float_value f, 13 double_value d, 14 boolean_value b,"
    "15 string_value s, 16 bytes_value y, 17 dataset_value DataSet, 18 template_value Template",
    "Payload": "1 timestamp u64, 2 metrics *Metric, 3 seq u64, 4 uuid s, 5 body y",
}
_KIND = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "u32": _KIND.TYPE_UINT32, "u64": _KIND.TYPE_UINT64, "f": _KIND.TYPE_FLOAT,
    "d": _KIND.TYPE_DOUBLE, "b": _KIND.TYPE_BOOL, "s": _KIND.TYPE_STRING, "y": _KIND.TYPE_BYTES,
}  # fmt: skip


def _classes():
    file = descriptor_pb2.FileDescriptorProto(
        name="sparkplug.proto", package="sparkplug", syntax="proto2"
    )
    for name, table in _TABLES.items():
        message = file.message_type.add(name=name)
        for entry in table.split(","):
            number, field, kind = entry.split()
            label = _KIND.LABEL_REPEATED if kind[0] == "*" else _KIND.LABEL_OPTIONAL
            added = message.field.add(name=field, number=int(number), label=label)
            kind = kind.lstrip("*")
            if kind in _TYPES:
                added.type = _TYPES[kind]
            else:
                added.type, added.type_name = _KIND.TYPE_MESSAGE, f".sparkplug.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sparkplug.{name}"))
        for name in _TABLES
    }


CLASSES = _classes()
Payload, Metric, Template = CLASSES["Payload"], CLASSES["Metric"], CLASSES["Template"]
