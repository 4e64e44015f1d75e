//! A SHA-256 digest, written `sha256:<64 hex digits>` wherever it is shown or stored.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 of some bytes: 32 bytes, shown as `sha256:…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// Digest of the JSON text of `value`; struct fields keep their order, maps are expected to be sorted.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON (a map with keys that are no strings).
    pub fn of_json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        // Nothing is kept in memory: facts of a big cluster are a hundred megabytes of JSON.
        let mut hasher = Sha256::new();
        serde_json::to_writer(io::BufWriter::new(&mut hasher), value)?;
        Ok(Self(hasher.finalize().into()))
    }

    /// The 64 hexadecimal digits without the `sha256:` prefix.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first twelve hexadecimal digits, for lines where the whole does not fit.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest: expected `sha256:` and 64 hexadecimal digits")]
pub struct ParseDigestError {
    /// What was given.
    pub text: String,
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseDigestError { text: text.to_owned() };
        let digits = text.strip_prefix("sha256:").ok_or_else(error)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| error())?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_json_is_the_digest_of_the_text() {
        assert_eq!(Digest::of_json(&[1, 2]).unwrap(), Digest::of("[1,2]"));
    }

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let digest = Digest::of("abc");
        assert_eq!(digest.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "sha256:", "sha256:zz", &digest.hex(), "sha512:00"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
