"use strict";
// A page that checks itself: accuracy, ECE and the hash of predictions, recomputed in the browser.
const dcbenchCheck = (() => {
  const utf8 = (bytes) => new TextDecoder().decode(bytes);
  const most = 2 ** 30; // bytes of a file, and of what it may unpack to

  // ZIP (APPNOTE.TXT 6.3.10): members by the central directory, stored or deflated.
  const members = async (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const last = bytes.length - 22;
    let end = last; // a comment of up to 65,535 bytes may follow it
    while (end >= 0 && last - end <= 0xffff && view.getUint32(end, true) !== 0x06054b50) end -= 1;
    if (end < 0 || last - end > 0xffff) throw new Error("it is no .npz archive");
    let at = view.getUint32(end + 16, true);
    let total = 0;
    const found = new Map();
    for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
      if (view.getUint32(at, true) !== 0x02014b50) throw new Error("its directory is damaged");
      const [method, packed, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
      const [named, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
      const local = view.getUint32(at + 42, true);
      const name = utf8(bytes.subarray(at + 46, at + 46 + named));
      total += size;
      if (total > most) throw new Error("it says that it holds more than a gigabyte");
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const content = bytes.subarray(start, start + packed);
      if (method !== 0 && method !== 8) throw new Error(`${name} is packed in an unknown way`);
      found.set(name, method === 0 ? content : await inflated(content, size, name));
      at += 46 + named + extra + comment;
    }
    return found;
  };
  const inflated = async (content, size, name) => {
    const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const whole = new Uint8Array(size);
    let filled = 0;
    for (const reader = stream.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (filled + value.length > size) throw new Error(`${name} is longer than it says`);
      whole.set(value, filled);
      filled += value.length;
    }
    if (filled !== size) throw new Error(`${name} is cut off`);
    return whole;
  };

  // NPY (numpy.lib.format): a header in the form of a Python dictionary, then the numbers.
  const parsed = (bytes, name) => {
    if (utf8(bytes.subarray(1, 6)) !== "NUMPY") throw new Error(`${name} is no NumPy array`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
    const head = utf8(bytes.subarray(start, start + length));
    const type = /'descr': '([<|]\w\d+)'/.exec(head)?.[1];
    const shape = /'shape': \(([\d, ]*)\)/.exec(head)?.[1].split(",").filter((each) => each.trim()).map(Number);
    if (!type || !shape || !/'fortran_order': False/.test(head)) throw new Error(`${name} is laid out in an unknown way`);
    const data = bytes.slice(start + length);
    if (data.length !== shape.reduce((a, b) => a * b, 1) * Number(type.slice(2))) throw new Error(`${name} is cut off`);
    return { type, shape, data };
  };

  // A float x lies as x.low, its bytes but the last, plane by plane, and x.high, the last ones.
  const joined = (low, high, name) => {
    if (!high || low.data.length !== high.data.length * low.shape[0]) throw new Error(`${name} is cut off`);
    const [count, width] = [high.data.length, low.shape[0] + 1];
    const data = new Uint8Array(count * width);
    for (let plane = 0; plane < width; plane += 1) {
      const from = plane < width - 1 ? low.data.subarray(plane * count, (plane + 1) * count) : high.data;
      for (let index = 0; index < count; index += 1) data[index * width + plane] = from[index];
    }
    return { type: `<f${width}`, shape: high.shape, data };
  };
  const arrays = async (bytes) => {
    const stored = new Map();
    for (const [name, content] of await members(bytes)) {
      const plain = name.replace(/\.npy$/, "");
      stored.set(plain, parsed(content, plain));
    }
    const whole = new Map();
    for (const [name, each] of stored) {
      if (name.endsWith(".high")) continue;
      if (!name.endsWith(".low")) whole.set(name, each);
      else whole.set(name.slice(0, -4), joined(each, stored.get(`${name.slice(0, -4)}.high`), name));
    }
    return whole;
  };

  const hex = async (bytes) => [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // In the order of their names: a line of JSON as Python writes it, then the bytes.
  const hashOf = async (found) => {
    const parts = [...found.keys()].sort().flatMap((name) => {
      const { type, shape, data } = found.get(name);
      return [`[${JSON.stringify(name)}, ${JSON.stringify(type)}, [${shape.join(", ")}]]\n`, data];
    });
    return hex(await new Blob(parts).arrayBuffer());
  };

  const numbers = ({ type, data }, name) => {
    const kinds = { "<f4": Float32Array, "<f8": Float64Array, "<i8": BigInt64Array, "<i4": Int32Array, "|u1": Uint8Array, "<i2": Int16Array };
    const Kind = kinds[type];
    if (!Kind) throw new Error(`${name} is of type ${type}: this page reads ${Object.keys(kinds).join(", ")}`);
    return new Kind(data.buffer);
  };
  // Accuracy, and the expected calibration error in 15 bins (lo, hi], in double precision.
  const measured = (found) => {
    if (!found.has("logits") || !found.has("labels")) throw new Error("it holds no logits with labels");
    const [logits, labels] = ["logits", "labels"].map((name) => numbers(found.get(name), name));
    const [rows, classes] = found.get("logits").shape;
    if (!(rows > 0 && classes > 1) || labels.length !== rows) throw new Error("its logits are not one row for each label");
    const gaps = new Float64Array(15);
    let right = 0;
    for (let row = 0; row < rows; row += 1) {
      const own = logits.subarray(row * classes, (row + 1) * classes);
      let best = 0;
      for (let k = 1; k < classes; k += 1) if (own[k] > own[best]) best = k;
      let sum = 0;
      for (let k = 0; k < classes; k += 1) sum += Math.exp(own[k] - own[best]);
      const confidence = Math.exp(-Math.log(sum));
      const hit = Number(labels[row]) === best ? 1 : 0;
      let bin = 0;
      while (bin < 14 && confidence > (bin + 1) * (1 / 15)) bin += 1;
      right += hit;
      gaps[bin] += hit - confidence;
    }
    return { accuracy: right / rows, ece15: gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / rows };
  };

  const check = async (file) => {
    if (file.size > most) throw new Error("it is larger than a gigabyte");
    const bytes = new Uint8Array(await file.arrayBuffer());
    const found = await arrays(bytes);
    const hashes = [await hashOf(found), await hex(bytes)]; // of older rows, that of the file
    return { hashes, ...measured(found) };
  };

  const runsBy = () => {
    const found = new Map();
    const known = dcbenchRuns.all();
    for (const [key, { method, split, protocol, runs }] of Object.entries(known.methods)) {
      for (const run of runs) {
        const own = found.get(run.sha256) ?? new Map();
        own.set(`${protocol} ${split} ${method} ${run.subset} ${run.seed}`, { key, method, split, protocol, run });
        found.set(run.sha256, own);
      }
    }
    return found;
  };

  const { element } = dcbenchRuns;
  const line = (good, title, text) => {
    const made = element("li", "", good ? "good" : "bad");
    made.append(element("b", `${good ? "✓" : "✗"} ${title} `), text);
    return made;
  };
  // Rows have six decimals.
  const beside = (title, value, stated) => {
    const shown = value.toFixed(6);
    if (stated === null) return line(false, title, `${shown}; the row has none`);
    const good = Math.abs(value - stated) < 1.5e-6;
    return line(good, title, good ? shown : `${shown}; the row says ${stated.toFixed(6)}, a difference of ${(value - stated).toFixed(6)}`);
  };
  const report = (name, result, rows) => {
    const made = element("section", "", "verdict");
    made.append(element("h3", name));
    const list = element("ul");
    const hash = result.hashes.find((each) => rows.has(each));
    if (hash === undefined) {
      list.append(line(false, "SHA-256", `${result.hashes[0]}: no row of this page names these predictions`));
      list.append(element("li", `accuracy ${result.accuracy.toFixed(6)}, ECE-15 ${result.ece15.toFixed(6)}`));
    }
    for (const { key, method, split, protocol, run } of rows.get(hash)?.values() ?? []) {
      const whose = element("li");
      const link = element("a", `${method}, subset ${run.subset}, seed ${run.seed}, on ${split} (${protocol})`);
      link.href = `#${key}`;
      whose.append("Predictions of ", link);
      list.append(whose, line(true, "SHA-256", hash));
      list.append(beside("accuracy", result.accuracy, run.accuracy), beside("ECE-15", result.ece15, run.ece15));
    }
    made.append(list);
    return made;
  };
  const start = (area) => {
    const picker = area.querySelector("input[type=file]");
    const said = area.querySelector(".verdicts");
    const take = async (files) => {
      if (!globalThis.crypto?.subtle || !globalThis.DecompressionStream) {
        said.replaceChildren(element("p", "This browser gives this page no SHA-256 or no decompression. Open it from a file, from localhost or over https, in a browser of 2023 or later."));
        return;
      }
      said.replaceChildren(element("p", "Computing …"));
      const rows = runsBy();
      const made = [];
      for (const file of files) {
        try {
          made.push(report(file.name, await check(file), rows));
        } catch (problem) {
          const section = element("section", "", "verdict");
          section.append(element("h3", file.name), element("p", `Not checked: ${problem.message}. A run's file is called predictions.npz.`));
          made.push(section);
        }
      }
      said.replaceChildren(...made);
    };
    picker.disabled = false;
    picker.addEventListener("change", () => take([...picker.files]));
    for (const name of ["dragover", "drop"]) {
      area.addEventListener(name, (event) => {
        event.preventDefault();
        area.classList.toggle("over", name === "dragover");
        if (name === "drop") take([...event.dataTransfer.files]);
      });
    }
    area.addEventListener("dragleave", () => area.classList.remove("over"));
  };
  return { check, start };
})();
