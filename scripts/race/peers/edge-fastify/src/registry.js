// The record's schema is the registry's, looked up once, at the start; never registered from here.
import avro from 'avsc'

/** A decimal as its unscaled integer. All of ours are positive and have 15 digits at most, so a number holds them. */
class Unscaled extends avro.types.LogicalType {
  _toValue (value) {
    let size = 1
    while (value >= 2 ** (8 * size - 1)) {
      size++
    }
    const bytes = Buffer.allocUnsafe(size)
    for (let at = size - 1, left = value; at >= 0; at--) {
      bytes[at] = left % 256
      left = Math.floor(left / 256)
    }
    return bytes
  }
}

/** Encodes a topic's values in Confluent's framing: a zero byte, four bytes of the schema's id, the datum. */
export async function recordType (registry, topic) {
  const answer = await fetch(`${registry}/subjects/${topic}-value/versions/latest`)
  if (!answer.ok) {
    throw new Error(`the registry answers ${answer.status} when it is asked for ${topic}`)
  }
  const { id, schema } = await answer.json()
  const type = avro.Type.forSchema(JSON.parse(schema), { logicalTypes: { decimal: Unscaled } })
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(id, 1)
  return { encode: record => Buffer.concat([prefix, type.toBuffer(record)]) }
}
