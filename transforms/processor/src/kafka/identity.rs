//! Who a slot is to Kafka, and whether somebody else is it too.

/// What the broker puts behind a static member's name: a hyphen and a UUID, new for each process that takes the name.
const UUID_LEN: usize = 36;

/// `<pipeline>-<instance>-<n>`: stable over restarts, so that a restart in place takes its partitions back at once and
/// settles its own dangling transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    group: String,
    slot: String,
}

impl Identity {
    /// The identity of slot `n` of `pipeline` in the process `instance`.
    #[must_use]
    pub fn new(pipeline: &str, instance: &str, n: usize) -> Self {
        Self { group: pipeline.to_owned(), slot: format!("{pipeline}-{instance}-{n}") }
    }

    /// The consumer group: the pipeline's name.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// `transactional.id`, `group.instance.id` and `client.id`.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// The member id of another holder of our identity among the group's `members`, if there is one; `own` is the member
    /// id that we had last. A member that died stays in the list until its session is over.
    #[must_use]
    pub fn other_holder(&self, members: Vec<String>, own: Option<&str>) -> Option<String> {
        members.into_iter().find(|member| self.is_other(member, own))
    }

    /// By the member id, since the broker keeps the client id of whoever had the name first.
    fn is_other(&self, member: &str, own: Option<&str>) -> bool {
        let uuid = member.strip_prefix(&self.slot).and_then(|rest| rest.strip_prefix('-'));
        uuid.is_some_and(|uuid| uuid.len() == UUID_LEN) && own != Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_member_of_the_same_name_is_another_holder() {
        let identity = Identity::new("orders-transforms", "host", 1);
        assert_eq!(identity.slot(), "orders-transforms-host-1");
        let ours = "orders-transforms-host-1-0205acf7-6f43-4413-8605-8a55fbc2839e";
        let theirs = "orders-transforms-host-1-f205acf7-6f43-4413-8605-8a55fbc2839e";
        for (member, own, expected) in [
            (ours, Some(ours), false),
            (theirs, Some(ours), true),
            (theirs, None, true),
            ("orders-transforms-host-1-0-f205acf7-6f43-4413-8605-8a55fbc2839e", None, false),
            ("orders-transforms-host-11-f205acf7-6f43-4413-8605-8a55fbc2839e", None, false),
            ("rdkafka-f205acf7-6f43-4413-8605-8a55fbc2839e", None, false),
        ] {
            assert_eq!(identity.is_other(member, own), expected, "{member}");
        }
    }
}
