// The same edge in Fastify: checks an order, and answers 202 when the broker has acknowledged it. What differs between runs
// comes from the environment.
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'

import { keywords, withoutDialect } from './order-schema.js'
import { toRecord } from './record.js'
import { Publisher } from './publisher.js'
import { recordType } from './registry.js'
import { strictJson } from './strict-json.js'

const { PORT = '8080', KAFKA = 'localhost:9092', REGISTRY = 'http://localhost:8081', TOPIC = 'orders.received' } = process.env

const receipt = {
  type: 'object',
  properties: {
    orderId: { type: 'string' },
    topic: { type: 'string' },
    partition: { type: 'integer' },
    offset: { type: 'integer' },
    persisted: { type: 'string' }
  }
}

const type = await recordType(REGISTRY, TOPIC)
const publisher = await Publisher.open({
  brokers: KAFKA,
  topic: TOPIC,
  linger: Number(process.env.LINGER_MS ?? 0),
  compression: process.env.COMPRESSION ?? 'none'
})

// Fastify's defaults turn "1" into 1 and take unknown fields away; the schema means what it says.
const app = Fastify({
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false, strictTypes: false }, plugins: [keywords] }
})
app.addContentTypeParser('application/json', { parseAs: 'string' }, strictJson(app.getDefaultJsonParser('error', 'error')))

const schema = JSON.parse(readFileSync(new URL('../order.schema.json', import.meta.url), 'utf8'))
const route = { schema: { body: withoutDialect(schema), response: { 202: receipt } } }
app.post('/api/orders', route, async (request, reply) => {
  const record = toRecord(request.body, Date.now())
  try {
    const { partition, offset } = await publisher.publish(record.order_id, type.encode(record))
    reply.code(202)
    return { orderId: record.order_id, topic: TOPIC, partition, offset, persisted: 'yes' }
  } catch (error) {
    throw Object.assign(new Error('not accepted by the broker', { cause: error }), { statusCode: 503 })
  }
})

await app.listen({ host: '127.0.0.1', port: Number(PORT) })
