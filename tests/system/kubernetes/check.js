// Holds objects of Kubernetes against their published schemas: unknown keys and wrong types by the types of the package
// kubernetes-models, patterns, enumerations and what is required by its validators.
//
//   node check.js TOOLS < OBJECTS      TOOLS holds node_modules; OBJECTS is a JSON list of { name, object }
//
// Prints one mistake a line, and nothing if there is none.
const { createRequire } = require('node:module')
const path = require('node:path')

const tools = path.resolve(process.argv[2])
const load = createRequire(path.join(tools, 'anchor.js'))
const ts = load('typescript')

const objects = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
const mistakes = []
const known = []
for (const { name, object } of objects) {
  const group = object.apiVersion.includes('monitoring.coreos.com/') ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'
  const module = `${group}/${object.apiVersion}/${object.kind}`
  let model
  try {
    model = load(module)[object.kind]
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    mistakes.push(`${name}: there is no ${object.kind} in ${object.apiVersion}`)
    continue
  }
  try {
    new model(object).validate()
  } catch (error) {
    mistakes.push(`${name}: ${error.message}`)
  }
  known.push({ name, module, kind: object.kind, object })
}

// One file for each object, which is only there in memory.
const files = new Map(known.map(({ module, kind, object }, number) => {
  const text = `import type { I${kind} } from ${JSON.stringify(module)}\nexport const object: I${kind} = ${JSON.stringify(object, null, 1)}\n`
  return [path.join(tools, `object-${number}.ts`), text]
}))
const options = {
  strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ['lib.es2022.d.ts'], target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.CommonJS, moduleResolution: ts.ModuleResolutionKind.Node10,
}
const host = ts.createCompilerHost(options)
const { getSourceFile, fileExists, readFile } = host
host.fileExists = (file) => files.has(path.normalize(file)) || fileExists(file)
host.readFile = (file) => files.get(path.normalize(file)) ?? readFile(file)
host.getSourceFile = (file, version, ...rest) => {
  const text = files.get(path.normalize(file))
  return text === undefined ? getSourceFile(file, version, ...rest) : ts.createSourceFile(file, text, version)
}
const program = ts.createProgram([...files.keys()], options, host)
for (const mistake of ts.getPreEmitDiagnostics(program)) {
  const number = [...files.keys()].indexOf(path.normalize(mistake.file?.fileName ?? ''))
  const name = known[number]?.name ?? mistake.file?.fileName ?? 'the types'
  const text = ts.flattenDiagnosticMessageText(mistake.messageText, ' ')
  const line = mistake.file ? mistake.file.text.slice(0, mistake.start).split('\n').length : 0
  const shown = mistake.file ? mistake.file.text.split('\n')[line - 1].trim() : ''
  mistakes.push(`${name}: ${shown}: ${text}`)
}
for (const mistake of mistakes) console.log(mistake.replaceAll('\n', ' '))
