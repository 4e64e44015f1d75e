//! Versions as kernels, images and tools write them: numbers with dots and something behind.

use std::fmt;

/// Up to three numbers: `5.14.0-503.el9.x86_64` is 5.14.0, `v1.18` is 1.18.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number, 0 when absent.
    pub minor: u64,
    /// Third number, 0 when absent.
    pub patch: u64,
}

impl Version {
    /// A version from its numbers.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self { major, minor, patch }
    }

    /// The numbers at the start of `text`, after an optional `v`; none when it starts with no number or has no dot.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = [0; 3];
        let mut count = 0;
        let mut rest = text;
        while count < 3 {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                break;
            }
            numbers[count] = rest[..digits].parse().ok()?;
            count += 1;
            rest = match rest[digits..].strip_prefix('.') {
                Some(rest) => rest,
                None => break,
            };
        }
        (count >= 2).then(|| Self::new(numbers[0], numbers[1], numbers[2]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_numbers_in_front() {
        for (text, version) in [
            ("5.14.0-503.el9.x86_64", Version::new(5, 14, 0)),
            ("v1.18", Version::new(1, 18, 0)),
            ("6.12.8+", Version::new(6, 12, 8)),
            ("v3.19.5+g1234", Version::new(3, 19, 5)),
            ("4.19.57.1", Version::new(4, 19, 57)),
        ] {
            assert_eq!(Version::parse(text), Some(version), "{text}");
        }
        for bad in ["", "v", "latest", "5", "5-14"] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
        assert!(Version::new(5, 4, 0) < Version::new(5, 10, 0));
    }
}
