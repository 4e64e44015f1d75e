//! Address ranges: parsing CIDR notation and telling whether two overlap.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address range in CIDR notation; a bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether some address is in both. Ranges of different families never overlap.
    pub fn overlaps(&self, other: &Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        match (self.address, other.address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                u32::from(a) & mask == u32::from(b) & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                u128::from(a) & mask == u128::from(b) & mask
            }
            _ => false,
        }
    }

    /// Whether it is a range of IPv6.
    pub fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("`{text}` is no address range");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.trim().parse().map_err(|_| error())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |p| p.trim().parse().map_err(|_| error()))?;
        if prefix > longest { Err(error()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(a: &str, b: &str) -> bool {
        a.parse::<Cidr>().unwrap().overlaps(&b.parse().unwrap())
    }

    #[test]
    fn tells_overlap_of_ranges_addresses_and_families() {
        assert!(overlap("10.0.0.0/8", "10.16.0.0/16"));
        assert!(overlap("10.16.0.0/16", "10.0.0.0/8"));
        assert!(overlap("0.0.0.0/0", "100.65.0.1"));
        assert!(overlap("fd00:100::/32", "fd00:100:65::/112"));
        assert!(!overlap("100.64.0.0/16", "100.65.0.0/16"));
        assert!(!overlap("::/0", "10.0.0.0/8"));
    }

    #[test]
    fn refuses_what_is_no_range() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/x"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
