// Runs the reference firmware in the real MicroPython interpreter; the UART is file descriptor 3.
// node run.mjs INTERPRETER.mjs LINES SETTINGS FILE...   (FILE: modules the firmware can import)
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [interpreter, lines, settings, ...files] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(interpreter).href);
const python = await loadMicroPython({ stdout: (line) => console.error(line), linebuffer: true });
for (const file of files) {
  python.FS.writeFile("/" + path.basename(file), fs.readFileSync(file));
}
python.registerJsModule("wire", {
  put(text) {
    const data = Buffer.from(text, "latin1");
    for (let at = 0; at < data.length; ) {
      try {
        at += fs.writeSync(3, data, at);
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
      }
    }
  },
  take() {
    const data = Buffer.alloc(64);
    try {
      return data.toString("latin1", 0, fs.readSync(3, data));
    } catch (error) {
      if (error.code === "EAGAIN") return "";
      throw error;
    }
  },
});
python.runPython(`
import sys
sys.path.insert(0, "/")
import board
for name, value in ${settings}.items():
    assert hasattr(board, name), name
    setattr(board, name, value)
import main
main.run(board.Board(), ${lines})
print("implementation", sys.implementation.name, "%d.%d.%d" % sys.implementation[1][:3])
`);
