// Sends records with acks=all and idempotence. The client has one request under way per broker then, and sends what it is
// given at once: to wait for more is the caller's choice.
import { Producer, compatibilityPartitioner } from '@platformatic/kafka'

/** Records in one request, at most. */
const MOST = 1000

export class Publisher {
  #producer
  #topic
  #partitions
  #linger
  #waiting = []

  static async open ({ brokers, topic, linger, compression }) {
    const publisher = new Publisher()
    publisher.#producer = new Producer({
      clientId: 'edge-fastify',
      bootstrapBrokers: brokers.split(','),
      idempotent: true,
      compression,
      partitioner: compatibilityPartitioner
    })
    const { topics } = await publisher.#producer.metadata({ topics: [topic] })
    publisher.#topic = topic
    publisher.#partitions = topics.get(topic).partitionsCount
    publisher.#linger = linger
    return publisher
  }

  /** Where the record lies, once the broker has said so. */
  async publish (id, value) {
    const key = Buffer.from(id)
    if (this.#linger === 0) {
      const { offsets } = await this.#producer.send({ messages: [{ topic: this.#topic, key, value }] })
      const [{ partition, offset }] = offsets
      return { partition, offset: Number(offset) }
    }
    const partition = compatibilityPartitioner(undefined, key) % this.#partitions
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message: { topic: this.#topic, partition, key, value }, resolve, reject })
      if (this.#waiting.length === 1) {
        setTimeout(() => this.#flush(), this.#linger)
      } else if (this.#waiting.length === MOST) {
        this.#flush()
      }
    })
  }

  async #flush () {
    const records = this.#waiting
    this.#waiting = []
    if (records.length === 0) {
      return
    }
    try {
      const { offsets } = await this.#producer.send({ messages: records.map(({ message }) => message) })
      // The answer has the first offset of each partition; its records follow in the order in which they were given.
      const next = new Map(offsets.map(({ partition, offset }) => [partition, Number(offset)]))
      for (const { message: { partition }, resolve } of records) {
        const offset = next.get(partition)
        next.set(partition, offset + 1)
        resolve({ partition, offset })
      }
    } catch (error) {
      records.forEach(({ reject }) => reject(error))
    }
  }
}
