//! Makes a key: its secret, which nobody keeps but the client, and its entry in the file of keys.

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::file;

/// What to print for a new key of this id.
///
/// # Errors
/// When the id cannot be one.
pub fn make(id: &str) -> Result<String, String> {
    if !file::is_id(id) {
        return Err(format!("--new-api-key: {}", file::ID_RULE));
    }
    // Each has 122 bits of chance out of the system's generator; their hash has 256 bits, of which each is as good.
    let mut chance = Sha256::new();
    for _ in 0..3 {
        chance.update(Uuid::new_v4().as_bytes());
    }
    let secret = hex(&chance.finalize());
    let entry = json!({ "id": id, "sha256": hex(&Sha256::digest(secret.as_bytes())) });
    Ok(format!(
        "The key, for its client; it is not kept anywhere and cannot be told again:\n\n  {id}.{secret}\n\n\
         Its entry, for the list in the file of --api-keys:\n\n  {entry}\n\n\
         A client sends it as `Authorization: Bearer {id}.…`. Quotas, if any: requestsPerSecond, burst,\n\
         bytesPerSecond, burstBytes.\n"
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
