//! The supervisor with real servers, the cheapest that show each thing: PostgreSQL mostly, Kafka and Elasticsearch
//! where their own ways matter. The whole set is started by the end-to-end tests of `promise`.

#[cfg(test)]
mod command;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod support;
