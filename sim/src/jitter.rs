//! Seeded differences between pods that would otherwise behave alike.
//!
//! A draw is a function of the seed and of what it is for (`ready/<uid>`), not of how many draws came before: one
//! more pod in a cluster does not change when all others become ready.

use std::time::Duration;

/// A seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(pub u64);

impl Jitter {
    /// 64 bits for `what`: FNV-1a over its text, mixed by the finaliser of splitmix64.
    pub fn bits(self, what: &str) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.0;
        for byte in what.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    /// A duration for `what`, from `low` to `high` milliseconds.
    pub fn millis(self, what: &str, low: u64, high: u64) -> Duration {
        let span = high.saturating_sub(low).saturating_add(1);
        Duration::from_millis(low + self.bits(what) % span)
    }

    /// `letters` letters of the alphabet Kubernetes uses for generated names.
    pub fn suffix(self, what: &str, letters: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = self.bits(what);
        let mut text = String::with_capacity(letters);
        for _ in 0..letters {
            let index = usize::try_from(bits % ALPHABET.len() as u64).unwrap_or(0);
            text.push(char::from(ALPHABET[index]));
            bits /= ALPHABET.len() as u64;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_and_purpose_only() {
        assert_eq!(Jitter(7).bits("ready/a"), Jitter(7).bits("ready/a"));
        assert_ne!(Jitter(7).bits("ready/a"), Jitter(8).bits("ready/a"));
        assert_ne!(Jitter(7).bits("ready/a"), Jitter(7).bits("ready/b"));
        for n in 0..200 {
            let drawn = Jitter(n).millis("x", 2_000, 5_000).as_millis();
            assert!((2_000..=5_000).contains(&drawn), "{drawn}");
        }
        assert_eq!(Jitter(1).suffix("pod", 5).len(), 5);
    }
}
