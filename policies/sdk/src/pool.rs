//! A range for Cilium's own addresses that nobody uses: what a remedy may propose.

use crate::cidr::Cidr;

/// Every /16 that is tried, the best known first: the same in the same order as `kubectl ovncilium values` takes, which
/// `policies/host/tests` holds.
pub fn candidates() -> impl Iterator<Item = String> {
    let first = ["100.65.0.0/16", "100.66.0.0/16", "172.30.0.0/16", "198.18.0.0/16"].map(str::to_owned).into_iter();
    let shared = (67..=127).map(|second| format!("100.{second}.0.0/16"));
    let private = (16..=31).filter(|second| *second != 30).rev().map(|second| format!("172.{second}.0.0/16"));
    let bench = std::iter::once("198.19.0.0/16".to_owned());
    let ten = (0..=255).rev().map(|second| format!("10.{second}.0.0/16"));
    first.chain(shared).chain(private).chain(bench).chain(ten)
}

/// The first of [`candidates`] that meets none of these ranges in use.
///
/// # Errors
/// Why none can be proposed, as a clause: a range cannot be read, so that nothing is known to be free, or none is.
pub fn free<'a>(used: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let used: Vec<Cidr> = used.into_iter().map(str::parse).collect::<Result<_, _>>()?;
    let is_free = |pool: &Cidr| used.iter().all(|range| !range.overlaps(pool));
    candidates()
        .find(|pool| pool.parse().as_ref().is_ok_and(is_free))
        .ok_or_else(|| "every private /16 meets a range in use".to_owned())
}

/// What to do where none can be proposed.
pub fn none(why: &str) -> String {
    format!(
        "set `ipam.operator.clusterPoolIPv4PodCIDRList` to a range of your own that nobody uses; none is proposed: {why}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposes_the_first_that_meets_nothing() {
        assert_eq!(free(["10.16.0.0/16", "100.64.0.0/16"]).as_deref(), Ok("100.65.0.0/16"));
        assert_eq!(free(["100.65.3.0/24", "100.66.0.1"]).as_deref(), Ok("172.30.0.0/16"));
        assert_eq!(free(["100.64.0.0/10", "172.16.0.0/12", "198.18.0.0/15"]).as_deref(), Ok("10.255.0.0/16"));
        assert_eq!(free(["::/0"]).as_deref(), Ok("100.65.0.0/16"));
    }

    #[test]
    fn proposes_nothing_where_nothing_is_known_to_be_free() {
        assert_eq!(free(["10.16"]).unwrap_err(), "`10.16` is no address range");
        assert_eq!(free(["0.0.0.0/0"]).unwrap_err(), "every private /16 meets a range in use");
    }
}
