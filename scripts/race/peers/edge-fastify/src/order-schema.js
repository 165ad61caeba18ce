// What schemas/order.schema.json asks beside the standard's own words, as keywords of Ajv.

/** A plugin for Fastify's Ajv. */
export function keywords (ajv) {
  // On the double, as JSON.parse has it: it is exact to 15 digits, and has one shortest text.
  ajv.addKeyword({
    keyword: 'x-decimal',
    type: 'number',
    schemaType: 'object',
    compile: ({ scale }) => value => Number(value.toFixed(scale)) === value
  })
  ajv.addKeyword({
    keyword: 'x-range',
    type: 'string',
    schemaType: 'object',
    compile: ({ from, before }) => {
      const [first, end] = [Date.parse(from), Date.parse(before)]
      return text => {
        const time = parseTime(text)
        return first <= time && time < end
      }
    }
  })
}

/** Milliseconds; RFC 3339 has small letters, too. */
export function parseTime (text) {
  return Date.parse(text.toUpperCase())
}

/** Fastify's Ajv is one of draft 7, which does not know the name of a later one; the words that we use are the same. */
export function withoutDialect ({ $schema, ...schema }) {
  return schema
}
