//! Ranges for Cilium's own addresses that nobody uses.

use ipnet::IpNet;

use crate::facts::addresses::{Addresses, Range};

/// Tried first: Kube-OVN's own tests use 100.65.0.0/16.
const FIRST: [&str; 4] = ["100.65.0.0/16", "100.66.0.0/16", "172.30.0.0/16", "198.18.0.0/16"];
/// Nodes of one /16: each gets a /24.
const NODES: u32 = 256;

/// Why no range is chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPool {
    /// Not enough of what is tried is free.
    #[error("none of {tried} is free for Cilium's own addresses")]
    NoneFree {
        /// What was tried, in words.
        tried: String,
    },
    /// A range in use cannot be read, so nothing can be told to be free.
    #[error("the {kind} range `{cidr}` of {user} cannot be read")]
    Unreadable {
        /// Kind of the range in use.
        kind: String,
        /// Whose it is.
        user: String,
        /// What stands there.
        cidr: String,
    },
    /// A range that was given is in use.
    #[error("{pool} cannot be Cilium's: it overlaps the {kind} range {cidr} of {user}")]
    Taken {
        /// What was given.
        pool: String,
        /// Kind of the range in use.
        kind: String,
        /// Whose it is.
        user: String,
        /// The range in use.
        cidr: String,
    },
}

/// As many ranges as `nodes` nodes need, with a quarter more, that no range in use meets.
///
/// # Errors
/// [`NoPool::NoneFree`], [`NoPool::Unreadable`].
pub fn choose(addresses: &Addresses, nodes: u32) -> Result<Vec<String>, NoPool> {
    let used = used(addresses)?;
    let wanted = (nodes.saturating_add(nodes / 4)).max(1).div_ceil(NODES) as usize;
    let free: Vec<String> = candidates()
        .filter(|pool| pool.parse().is_ok_and(|pool: IpNet| used.iter().all(|(range, _)| !overlap(range, &pool))))
        .take(wanted)
        .collect();
    if free.len() == wanted {
        return Ok(free);
    }
    let tried = "100.65.0.0/16 to 100.127.0.0/16, 172.16.0.0/16 to 172.31.0.0/16, 198.18.0.0/16, 198.19.0.0/16 and 10.0.0.0/16 to 10.255.0.0/16";
    let tried = if wanted == 1 { tried.to_owned() } else { format!("{wanted} ranges out of {tried}") };
    Err(NoPool::NoneFree { tried })
}

/// Holds that no range in use meets one that was given.
///
/// # Errors
/// [`NoPool::Taken`], [`NoPool::Unreadable`].
pub fn check(addresses: &Addresses, given: &[String]) -> Result<(), NoPool> {
    let used = used(addresses)?;
    for pool in given {
        let parsed: Option<IpNet> = pool.parse().ok();
        let met = used.iter().find(|(range, _)| parsed.is_none_or(|parsed| overlap(range, &parsed)));
        if let Some((_, range)) = met {
            let (kind, user, cidr) = (range.kind.clone(), range.user.clone(), range.cidr.clone());
            return Err(NoPool::Taken { pool: pool.clone(), kind, user, cidr });
        }
    }
    Ok(())
}

/// Every /16 that is tried, the best known first. Those of 10.0.0.0/8, where clusters and companies live, come last and from
/// the end.
pub fn candidates() -> impl Iterator<Item = String> {
    let first = FIRST.iter().map(|pool| (*pool).to_owned());
    let shared = (67..=127).map(|second| format!("100.{second}.0.0/16"));
    let private = (16..=31).filter(|second| *second != 30).rev().map(|second| format!("172.{second}.0.0/16"));
    let bench = std::iter::once("198.19.0.0/16".to_owned());
    let ten = (0..=255).rev().map(|second| format!("10.{second}.0.0/16"));
    first.chain(shared).chain(private).chain(bench).chain(ten)
}

fn used(addresses: &Addresses) -> Result<Vec<(IpNet, &Range)>, NoPool> {
    let read = |range: &'_ Range| {
        let Range { kind, user, cidr } = range;
        let unreadable = || NoPool::Unreadable { kind: kind.clone(), user: user.clone(), cidr: cidr.clone() };
        cidr.parse().map_err(|_| unreadable())
    };
    addresses.ranges.iter().map(|range| Ok((read(range)?, range))).collect()
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(cidrs: &[&str]) -> Addresses {
        let range = |cidr: &&str| Range { kind: "pod".into(), user: "subnet x".into(), cidr: (*cidr).to_owned() };
        Addresses { ranges: cidrs.iter().map(range).collect() }
    }

    #[test]
    fn takes_the_first_that_meets_nothing() {
        let choose = |cidrs: &[&str]| choose(&addresses(cidrs), 3);
        assert_eq!(choose(&["10.16.0.0/16", "100.64.0.0/16", "10.96.0.0/12"]), Ok(vec!["100.65.0.0/16".to_owned()]));
        assert_eq!(choose(&["100.65.3.0/24"]), Ok(vec!["100.66.0.0/16".to_owned()]));
        assert_eq!(choose(&["100.64.0.0/10", "172.16.0.0/12"]), Ok(vec!["198.18.0.0/16".to_owned()]));
        let crowded = ["100.64.0.0/10", "172.16.0.0/12", "198.18.0.0/15", "10.128.0.0/9", "10.127.9.9/32"];
        assert_eq!(choose(&crowded), Ok(vec!["10.126.0.0/16".to_owned()]));
        let full = ["100.64.0.0/10", "172.16.0.0/12", "198.18.0.0/15", "10.0.0.0/8", "fd00::/8"];
        assert!(matches!(choose(&full), Err(NoPool::NoneFree { .. })));
        assert!(matches!(choose(&["0.0.0.0/0"]), Err(NoPool::NoneFree { .. })));
    }

    #[test]
    fn a_range_that_cannot_be_read_frees_nothing() {
        assert!(matches!(choose(&addresses(&["10.0.0.0/33"]), 3), Err(NoPool::Unreadable { .. })));
        assert!(matches!(check(&addresses(&["x"]), &["100.65.0.0/16".to_owned()]), Err(NoPool::Unreadable { .. })));
    }

    #[test]
    fn many_nodes_get_many_ranges() {
        let ranges = |nodes| choose(&addresses(&["100.66.0.0/16"]), nodes).unwrap();
        assert_eq!((ranges(1).len(), ranges(204).len(), ranges(206).len()), (1, 1, 2));
        let many = ranges(5000);
        assert_eq!(many.len(), 25);
        let nets: Vec<IpNet> = many.iter().map(|pool| pool.parse().unwrap()).collect();
        let met = nets.iter().enumerate().any(|(i, a)| nets.iter().skip(i + 1).any(|b| overlap(a, b)));
        assert!(!met && !many.contains(&"100.66.0.0/16".to_owned()), "{many:?}");
    }

    #[test]
    fn what_was_given_must_be_free() {
        let given = |pool: &str| check(&addresses(&["10.16.0.0/16"]), &[pool.to_owned()]);
        assert_eq!(given("100.65.0.0/16"), Ok(()));
        for taken in ["10.0.0.0/8", "10.16.7.0/24", "nonsense"] {
            assert!(matches!(given(taken), Err(NoPool::Taken { .. })), "{taken}");
        }
    }
}
