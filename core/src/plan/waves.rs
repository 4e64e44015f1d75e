//! Which nodes are cut over together: one, two, four … up to a limit, control plane last.

use crate::facts::nodes::Node;
use crate::ids::NodeName;

use super::PlannedNode;

/// Nodes in the order of cutover, each with its wave. Wave 0 is the canary: a ready, schedulable worker if there is one.
/// Waves double up to `limit`; control-plane nodes come after all workers and in waves of their own, one at a time.
pub fn waves(nodes: &[Node], limit: u32) -> Vec<PlannedNode> {
    let limit = limit.max(1);
    let mut order: Vec<&Node> = nodes.iter().collect();
    order.sort_by_key(|node| (node.control_plane, !node.ready || node.unschedulable, node.name.clone()));
    let mut planned = Vec::with_capacity(order.len());
    let (mut wave, mut size, mut room, mut control_plane) = (0, 1, 1, false);
    for node in order {
        if room == 0 || (node.control_plane && !control_plane && !planned.is_empty() && room < size) {
            wave += 1;
            size = if node.control_plane { 1 } else { (size * 2).min(limit) };
            room = size;
        }
        if node.control_plane {
            room = room.min(1);
        }
        control_plane = node.control_plane;
        planned.push(PlannedNode {
            name: NodeName(node.name.clone()),
            uid: node.uid.clone(),
            control_plane: node.control_plane,
            wave,
            away: false,
        });
        room -= 1;
    }
    planned
}

/// The waves as lists of nodes.
pub fn by_wave(nodes: &[PlannedNode]) -> Vec<Vec<&PlannedNode>> {
    let mut waves: Vec<Vec<&PlannedNode>> = Vec::new();
    for node in nodes {
        let index = node.wave as usize;
        if waves.len() <= index {
            waves.resize_with(index + 1, Vec::new);
        }
        waves[index].push(node);
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, control_plane: bool) -> Node {
        Node { name: name.into(), control_plane, ready: true, ..Node::default() }
    }

    fn sizes(workers: usize, control_plane: usize, limit: u32) -> Vec<usize> {
        let nodes: Vec<Node> = (0..control_plane)
            .map(|i| node(&format!("cp-{i}"), true))
            .chain((0..workers).map(|i| node(&format!("w-{i:03}"), false)))
            .collect();
        by_wave(&waves(&nodes, limit)).iter().map(Vec::len).collect()
    }

    #[test]
    fn waves_double_up_to_the_limit_and_control_plane_comes_last_one_by_one() {
        assert_eq!(sizes(10, 3, 4), [1, 2, 4, 3, 1, 1, 1]);
        assert_eq!(sizes(3, 1, 8), [1, 2, 1]);
        assert_eq!(sizes(0, 1, 8), [1]);
        assert_eq!(sizes(0, 3, 8), [1, 1, 1]);
        assert_eq!(sizes(5, 0, 1), [1, 1, 1, 1, 1]);
        assert_eq!(sizes(0, 0, 8), Vec::<usize>::new());
    }

    #[test]
    fn every_node_is_in_exactly_one_wave() {
        for workers in 0..40 {
            for control_plane in 0..4 {
                for limit in 1..9 {
                    let sizes = sizes(workers, control_plane, limit);
                    assert_eq!(sizes.iter().sum::<usize>(), workers + control_plane);
                    assert!(sizes.iter().all(|size| (1..=limit as usize).contains(size)), "{sizes:?}");
                }
            }
        }
    }

    #[test]
    fn the_canary_is_a_node_that_can_take_pods() {
        let mut cordoned = node("a", false);
        cordoned.unschedulable = true;
        let planned = waves(&[cordoned, node("b", false), node("cp", true)], 4);
        assert_eq!(planned[0].name.as_str(), "b");
    }
}
