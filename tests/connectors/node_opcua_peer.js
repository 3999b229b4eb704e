// A server with node-opcua. Arguments: port, count of variables, "history" or "", items per call.
// Says "ready"; for each line "from to pause" it writes these numbers to all variables, one after
// the other with so many milliseconds between, and says "written <to>".
const { OPCUAServer } = require("node-opcua-server");
const { StatusCodes } = require("node-opcua-status-code");
const { DataType } = require("node-opcua-variant");
const readline = require("readline");

const [port, count, history, perCall] = [
  Number(process.argv[2]), Number(process.argv[3]), process.argv[4], Number(process.argv[5]),
];

async function main() {
  const server = new OPCUAServer({
    port, hostname: "127.0.0.1", alternateHostname: "127.0.0.1", resourcePath: "/",
    buildInfo: { productName: "peer" },
    serverCapabilities: {
      maxMonitoredItemsPerSubscription: 100000,
      operationLimits: { maxMonitoredItemsPerCall: perCall, maxNodesPerRead: perCall },
    },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const folder = own.addFolder(space.rootFolder.objects, { browseName: "Line" });
  const variables = [];
  for (let i = 0; i < count; i++) {
    const variable = own.addVariable({
      organizedBy: folder, browseName: `v${i}`, nodeId: `s=v${i}`, dataType: "Double",
      minimumSamplingInterval: 0,
    });
    if (history === "history") {
      space.installHistoricalDataNode(variable, { maxOnlineValues: 100000 });
    }
    variable.setValueFromSource({ dataType: DataType.Double, value: 0 });
    variables.push(variable);
  }
  await server.start();
  console.log("ready");
  const lines = readline.createInterface({ input: process.stdin });
  for await (const line of lines) {
    const [first, last, pause] = line.split(" ").map(Number);
    for (let value = first; value <= last; value++) {
      const now = new Date();
      for (const variable of variables) {
        variable.setValueFromSource({ dataType: DataType.Double, value }, StatusCodes.Good, now);
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    console.log(`written ${last}`);
  }
  process.exit(0);
}
main();
