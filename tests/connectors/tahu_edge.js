// An edge node with Eclipse Tahu's client for Node.js: births, data of a device, rebirths.
// Arguments: port of the broker. Says "born" at each birth; sends data for each line it reads.
const sparkplug = require("sparkplug-client");

const client = sparkplug.newClient({
  serverUrl: `tcp://127.0.0.1:${process.argv[2]}`,
  username: "", password: "", groupId: "plant", edgeNode: "tahu", clientId: "tahu-edge",
  version: "spBv1.0",
});
const now = () => Date.now();
let count = 0;

function births() {
  client.publishNodeBirth({
    timestamp: now(),
    metrics: [
      { name: "Node Control/Rebirth", value: false, type: "Boolean", timestamp: now() },
      {
        name: "axis", type: "Template", timestamp: now(),
        value: { isDefinition: true, metrics: [{ name: "pos", value: 0, type: "Double" }] },
      },
      { name: "int8", value: -5, type: "Int8", alias: 1, timestamp: now() },
      { name: "uint32", value: 4000000000, type: "UInt32", alias: 2, timestamp: now() },
      { name: "nothing", value: null, type: "Double", alias: 3, timestamp: now() },
    ],
  });
  client.publishDeviceBirth("press", {
    timestamp: now(),
    metrics: [
      {
        name: "force", value: 1.5, type: "Double", alias: 10, timestamp: now(),
        properties: {
          engUnit: { type: "String", value: "kN" }, engHigh: { type: "Double", value: 250 },
        },
      },
      { name: "text", value: "a ü", type: "String", alias: 11, timestamp: now() },
      { name: "count", value: 0, type: "Int32", alias: 12, timestamp: now() },
      {
        name: "recipe", type: "DataSet", alias: 13, timestamp: now(),
        value: {
          numOfColumns: 2, types: ["String", "Int32"], columns: ["step", "s"],
          rows: [["heat", 5], ["hold", -1]],
        },
      },
      {
        name: "x", type: "Template", alias: 14, timestamp: now(),
        value: {
          isDefinition: false, templateRef: "axis",
          metrics: [{ name: "pos", value: 2.5, type: "Double", timestamp: now() }],
        },
      },
    ],
  });
  console.log("born");
}

client.on("birth", births);
client.on("ncmd", (payload) => {
  for (const metric of payload.metrics) {
    if (metric.name === "Node Control/Rebirth" && metric.value === true) births();
  }
});
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "skip") {
    client.incrementSeqNum(); // a message that nobody gets
    return;
  }
  count += 1;
  client.publishDeviceData("press", {
    timestamp: now(),
    metrics: [
      { alias: 10, value: count / 4, type: "Double", timestamp: now() },
      { alias: 12, value: -count, type: "Int32", timestamp: now() },
    ],
  });
});
