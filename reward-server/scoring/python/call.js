// The twin of call.py for JavaScript: calls one function of the program and claims what came back.
(() => {
    const fs = require("fs");
    const { stringify, parse } = JSON, { isArray, from } = Array, { entries, prototype } = Object;
    const { isFinite } = Number, { apply } = Reflect, kindOf = prototype.toString;
    const write = fs.writeSync, leave = process.exit, bytes = Buffer.from;

    const encode = (v, depth) => {
        if (v === null || v === undefined) return null;
        if (typeof v === "boolean" || typeof v === "string") return v;
        if (typeof v === "number") return isFinite(v) ? v : ["f", String(v)];
        if (typeof v === "bigint") return ["i", (v < 0n ? "-0x" : "0x") + (v < 0n ? -v : v).toString(16)];
        const kind = apply(kindOf, v, []), each = x => encode(x, depth + 1);
        if (depth < 200 && isArray(v)) return ["l", from(v, each)];
        if (depth < 200 && kind === "[object Set]") return ["s", from(v, each)];
        if (depth < 200 && kind === "[object Map]") return ["d", from(v, ([k, x]) => [each(k), each(x)])];
        if (depth < 200 && kind === "[object Object]") return ["d", from(entries(v), ([k, x]) => [k, each(x)])];
        return ["h", 0, kind.slice(8, 88)];
    };

    const request = parse(fs.readFileSync(0, "utf8"));
    console.log = console.info = console.debug = console.error; // what it prints is not its answer
    process.stdout.write = process.stderr.write.bind(process.stderr);
    Object.assign(globalThis, { require, module: { exports: {} } });
    const name = request.entry_point.split(".").pop();
    const find = `typeof ${name} !== "undefined" ? ${name} : (s => s.${name}.bind(s))(new Solution())`;
    const source = request.setup + "\n" + fs.readFileSync("/box/program.js", "utf8");
    const result = (0, eval)(source + "\n;(" + find + ")\n")(...request.args);
    let data = bytes(stringify({ v: encode(result, 0) }));
    while (data.length > 0) data = data.subarray(write(1, data));
    leave(0);
})();
