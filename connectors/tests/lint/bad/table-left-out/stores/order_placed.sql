-- The table of order_placed: one row an order, its newest version. `connectors apply` runs this file each time,
-- so every statement may run again. To add a field: a line in the table and an `add column if not exists` below,
-- nullable or with a default, before the schema gets it.

create table if not exists order_placed (
  order_id           text           primary key,
  amount             numeric(15, 2) not null,
  customer           text           not null,
  currency           text,
  items              jsonb,
  email              text,
  country            text,
  channel            text,
  created_at         timestamptz    not null,
  received_at        timestamptz    not null,
  amount_home        numeric(15, 2),
  home_currency      text,
  region             text,
  item_count         integer        not null default 0,
  email_domain       text,
  value_band         text,
  received_partition integer        not null default -1,
  received_offset    bigint         not null default -1,
  transformed_by     text
);

-- No constraint here may be stricter than the Avro schema: a row that the table refuses stops its sink.

create index if not exists order_placed_by_created_at on order_placed (created_at);
create index if not exists order_placed_by_receipt on order_placed (received_partition, received_offset);

-- An order's version is its place in orders.received. A replayed older record must not replace a newer row.
create or replace function order_placed_keep_newer() returns trigger language plpgsql as $$
begin
  if new.received_partition = old.received_partition and new.received_offset < old.received_offset then
    return null;
  end if;
  return new;
end $$;

create or replace trigger order_placed_keep_newer
  before update on order_placed
  for each row execute function order_placed_keep_newer();
