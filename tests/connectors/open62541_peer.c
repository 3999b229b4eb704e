/* A server with open62541. Arguments: port, count of variables, "" (it has no archive), items per
 * call. Says "ready"; for each line "from to pause" it writes these numbers to all variables, one
 * after the other with so many milliseconds between, and says "written <to>".
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <open62541/plugin/log_stdout.h>
#include <open62541/server.h>
#include <open62541/server_config_default.h>

static UA_Server *server;
static int count;

static UA_NodeId node(int number, char *name) {
    sprintf(name, "v%d", number);
    return UA_NODEID_STRING(1, name);
}

static void write_all(double value) {
    char name[16];
    UA_DataValue data;
    UA_DataValue_init(&data);
    UA_Variant_setScalar(&data.value, &value, &UA_TYPES[UA_TYPES_DOUBLE]);
    data.hasValue = true;
    data.sourceTimestamp = UA_DateTime_now();
    data.hasSourceTimestamp = true;
    for (int k = 0; k < count; k++) UA_Server_writeDataValue(server, node(k, name), data);
}

static void add(int number) {
    char name[16];
    double zero = 0.0;
    UA_VariableAttributes attributes = UA_VariableAttributes_default;
    UA_NodeId id = node(number, name);
    UA_Variant_setScalar(&attributes.value, &zero, &UA_TYPES[UA_TYPES_DOUBLE]);
    attributes.dataType = UA_TYPES[UA_TYPES_DOUBLE].typeId;
    UA_Server_addVariableNode(server, id, UA_NODEID_NUMERIC(0, UA_NS0ID_OBJECTSFOLDER),
                              UA_NODEID_NUMERIC(0, UA_NS0ID_ORGANIZES), UA_QUALIFIEDNAME(1, name),
                              UA_NODEID_NUMERIC(0, UA_NS0ID_BASEDATAVARIABLETYPE), attributes,
                              NULL, NULL);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    UA_ServerConfig config;
    memset(&config, 0, sizeof config);
    /* Nobody reads what it says beside "ready" and "written": a full pipe would stop it. */
    config.logging = UA_Log_Stdout_new(UA_LOGLEVEL_FATAL);
    UA_ServerConfig_setMinimal(&config, (UA_UInt16) atoi(argv[1]), NULL);
    count = atoi(argv[2]);
    config.maxMonitoredItemsPerCall = (UA_UInt32) atoi(argv[4]);
    config.maxNodesPerRead = (UA_UInt32) atoi(argv[4]);
    config.samplingIntervalLimits.min = 0.0;
    config.publishingIntervalLimits.min = 10.0;
    config.queueSizeLimits.max = 1000000;
    config.keepAliveCountLimits.min = 1;
    config.keepAliveCountLimits.max = 10000;
    config.lifeTimeCountLimits.max = 1000000;
    server = UA_Server_newWithConfig(&config);
    for (int k = 0; k < count; k++) add(k);
    write_all(0.0);
    if (UA_Server_run_startup(server) != UA_STATUSCODE_GOOD) return 1;
    puts("ready");
    char line[256];
    long value = 1, last = 0, pause_ms = 0;
    UA_DateTime due = 0;
    int writing = 0;
    size_t held = 0;
    for (;;) {
        UA_Server_run_iterate(server, false);
        struct pollfd in = {.fd = 0, .events = POLLIN};
        if (poll(&in, 1, 1) > 0 && !writing) {
            ssize_t got = read(0, line + held, 1);
            if (got <= 0) return 0;
            if (line[held] != '\n') {
                held = (held + 1) % (sizeof line - 1);
                continue;
            }
            line[held] = 0;
            held = 0;
            writing = sscanf(line, "%ld %ld %ld", &value, &last, &pause_ms) == 3;
            due = UA_DateTime_nowMonotonic();
        }
        if (!writing || UA_DateTime_nowMonotonic() < due) continue;
        if (value > last) {
            printf("written %ld\n", last);
            writing = 0;
            continue;
        }
        write_all((double) value++);
        due += pause_ms * UA_DATETIME_MSEC;
    }
}
