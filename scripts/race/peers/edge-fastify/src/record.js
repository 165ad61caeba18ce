// From the checked body to the fields of the Avro record.
import { parseTime } from './order-schema.js'

export function toRecord (order, now) {
  return {
    order_id: order.orderId,
    amount: toCents(order.amount),
    customer: order.customer,
    currency: order.currency ?? null,
    items: order.items?.map(toItem) ?? [],
    email: order.email ?? null,
    country: order.country ?? null,
    channel: order.channel ?? null,
    created_at: order.createdAt === undefined ? now : parseTime(order.createdAt),
    received_at: now
  }
}

function toItem ({ sku, quantity, unitPrice }) {
  return { sku, quantity, unit_price: toCents(unitPrice) }
}

/** The check let no more than two decimals and 15 digits through, so the nearest integer is the right one. */
function toCents (amount) {
  return Math.round(amount * 100)
}
