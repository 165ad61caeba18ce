package orderflow.sinks;

import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Collection;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Repository;
import org.springframework.transaction.annotation.Transactional;

/** The table: one transaction a batch, and a row that is newer stays. */
@Repository
class OrderTable {
    private static final String UPSERT = """
            insert into order_placed (order_id, amount, customer, currency, items, email, country, channel, created_at,
                received_at, amount_home, home_currency, region, item_count, email_domain, value_band, received_partition,
                received_offset, transformed_by)
            values (?, ?, ?, ?, ?::jsonb, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            on conflict (order_id) do update set
                amount = excluded.amount, customer = excluded.customer, currency = excluded.currency,
                items = excluded.items, email = excluded.email, country = excluded.country, channel = excluded.channel,
                created_at = excluded.created_at, received_at = excluded.received_at,
                amount_home = excluded.amount_home, home_currency = excluded.home_currency, region = excluded.region,
                item_count = excluded.item_count, email_domain = excluded.email_domain,
                value_band = excluded.value_band, received_partition = excluded.received_partition,
                received_offset = excluded.received_offset, transformed_by = excluded.transformed_by
            where order_placed.received_partition <> excluded.received_partition
                or order_placed.received_offset <= excluded.received_offset""";

    private final JdbcTemplate jdbc;

    OrderTable(JdbcTemplate jdbc) {
        this.jdbc = jdbc;
    }

    @Transactional
    void upsert(Collection<PlacedOrder> orders) {
        jdbc.batchUpdate(UPSERT, orders, orders.size(), (row, order) -> {
            row.setString(1, order.orderId());
            row.setBigDecimal(2, order.amount());
            row.setString(3, order.customer());
            row.setString(4, order.currency());
            row.setString(5, order.itemsJson());
            row.setString(6, order.email());
            row.setString(7, order.country());
            row.setString(8, order.channel());
            row.setObject(9, time(order.createdAt()));
            row.setObject(10, time(order.receivedAt()));
            row.setBigDecimal(11, order.amountHome());
            row.setString(12, order.homeCurrency());
            row.setString(13, order.region());
            row.setInt(14, order.itemCount());
            row.setString(15, order.emailDomain());
            row.setString(16, order.valueBand());
            row.setInt(17, order.receivedPartition());
            row.setLong(18, order.receivedOffset());
            row.setString(19, order.transformedBy());
        });
    }

    private static OffsetDateTime time(long millis) {
        return Instant.ofEpochMilli(millis).atOffset(ZoneOffset.UTC);
    }
}
