/* Samples as a struct array of the Arrow C data interface: time, value, quality.
 *
 * The three structs are those of https://arrow.apache.org/docs/format/CDataInterface.html and
 * CStreamInterface.html, version 1, whose layout never changes. Every struct owns what it needs, so
 * that a consumer may move a child out. `drop` gives back a reference to the owner of the buffers.
 */
#ifndef LH_ARROW_H
#define LH_ARROW_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

enum { LH_ARROW_CHILDREN = 3 };

/* Buffers of n samples: validity may be NULL; second is the bytes of strings, else NULL. */
typedef struct {
    int64_t rows, nulls;
    const void *time, *valid, *first, *second, *quality;
    const char *format; /* of the value; static */
    void *owner;
    void (*keep)(void *), (*drop)(void *);
} lh_samples;

typedef struct {
    struct ArrowSchema child[LH_ARROW_CHILDREN], *children[LH_ARROW_CHILDREN];
} lh_schema_room;

static void lh_schema_release(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    }
    free(schema->private_data);
    schema->release = NULL;
}

static int lh_arrow_schema(const char *format, struct ArrowSchema *out)
{
    const char *formats[LH_ARROW_CHILDREN] = {"tsn:UTC", format, "I"};
    const char *names[LH_ARROW_CHILDREN] = {"time", "value", "quality"};
    lh_schema_room *room = calloc(1, sizeof *room);
    if (!room) return ENOMEM;
    for (int i = 0; i < LH_ARROW_CHILDREN; i++) {
        room->children[i] = &room->child[i];
        room->child[i].format = formats[i];
        room->child[i].name = names[i];
        room->child[i].flags = i == 1 ? 2 : 0; /* nullable */
        room->child[i].release = lh_schema_release;
    }
    memset(out, 0, sizeof *out);
    out->format = "+s", out->name = "";
    out->n_children = LH_ARROW_CHILDREN, out->children = room->children;
    out->release = lh_schema_release, out->private_data = room;
    return 0;
}

typedef struct {
    struct ArrowArray child[LH_ARROW_CHILDREN], *children[LH_ARROW_CHILDREN];
    const void *buffers[3];
    void *owner;
    void (*drop)(void *);
} lh_array_room;

static void lh_array_release(struct ArrowArray *array)
{
    lh_array_room *room = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release) array->children[i]->release(array->children[i]);
    }
    room->drop(room->owner);
    free(room);
    array->release = NULL;
}

static lh_array_room *lh_array_begin(const lh_samples *s, struct ArrowArray *out, int64_t buffers)
{
    lh_array_room *room = calloc(1, sizeof *room);
    memset(out, 0, sizeof *out);
    if (!room) return NULL;
    s->keep(s->owner);
    room->owner = s->owner, room->drop = s->drop;
    out->length = s->rows, out->n_buffers = buffers, out->buffers = room->buffers;
    out->release = lh_array_release, out->private_data = room;
    return room;
}

static int lh_arrow_array(const lh_samples *s, struct ArrowArray *out)
{
    lh_array_room *room = lh_array_begin(s, out, 1), *child[LH_ARROW_CHILDREN];
    if (!room) return ENOMEM;
    for (int i = 0; i < LH_ARROW_CHILDREN; i++) {
        room->children[i] = &room->child[i];
        child[i] = lh_array_begin(s, &room->child[i], i == 1 && s->second ? 3 : 2);
        if (!child[i]) {
            out->n_children = i;
            out->children = room->children;
            lh_array_release(out);
            return ENOMEM;
        }
    }
    child[0]->buffers[1] = s->time;
    child[1]->buffers[0] = s->valid, child[1]->buffers[1] = s->first;
    child[1]->buffers[2] = s->second;
    room->child[1].null_count = s->nulls;
    child[2]->buffers[1] = s->quality;
    out->n_children = LH_ARROW_CHILDREN, out->children = room->children;
    return 0;
}

typedef struct {
    lh_samples samples;
    int given;
} lh_stream_room;

static int lh_stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    return lh_arrow_schema(((lh_stream_room *)stream->private_data)->samples.format, out);
}

static int lh_stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    lh_stream_room *room = stream->private_data;
    memset(out, 0, sizeof *out); /* released: the end */
    if (room->given) return 0;
    room->given = 1;
    return lh_arrow_array(&room->samples, out);
}

static const char *lh_stream_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return NULL;
}

static void lh_stream_release(struct ArrowArrayStream *stream)
{
    lh_stream_room *room = stream->private_data;
    room->samples.drop(room->samples.owner);
    free(room);
    stream->release = NULL;
}

static int lh_arrow_stream(const lh_samples *s, struct ArrowArrayStream *out)
{
    lh_stream_room *room = calloc(1, sizeof *room);
    if (!room) return ENOMEM;
    room->samples = *s;
    s->keep(s->owner);
    out->get_schema = lh_stream_schema, out->get_next = lh_stream_next;
    out->get_last_error = lh_stream_error, out->release = lh_stream_release;
    out->private_data = room;
    return 0;
}

#endif
