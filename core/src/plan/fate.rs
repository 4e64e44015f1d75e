//! What a migration does with a pod that has no endpoint yet: a question of who would make it again.

/// The fate of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Evicted once; its owner makes it again.
    MadeAgain,
    /// Never touched: nobody is known to make it again, a kubelet keeps it whatever the API server says, or its owner does not want it.
    Stays,
    /// Never touched: its work would be lost, and it ends when that is done.
    EndsByItself,
    /// Never touched: its owner has the update strategy `OnDelete`, so who runs it says when. It is made again when they delete it.
    AwaitsOperator,
}

/// By the kind of its controlling owner (empty for none), whether that has the update strategy `OnDelete`, and the pod's own word on it.
pub fn of(owner_kind: &str, on_delete: bool, recycle: Option<&str>) -> Fate {
    match (owner_kind, recycle) {
        (_, Some("never")) => Fate::Stays,
        ("StatefulSet" | "DaemonSet", _) if on_delete => Fate::AwaitsOperator,
        ("ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController", _) => Fate::MadeAgain,
        ("Job", _) => Fate::EndsByItself,
        // An eviction takes a static pod's object away and not its containers; a virtual machine is migrated, not made again; who
        // else owns pods (workflows, builds) may lose their work.
        _ => Fate::Stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_made_again_is_evicted() {
        for (owner, fate) in [
            ("ReplicaSet", Fate::MadeAgain),
            ("StatefulSet", Fate::MadeAgain),
            ("DaemonSet", Fate::MadeAgain),
            ("", Fate::Stays),
            ("Node", Fate::Stays),
            ("VirtualMachineInstance", Fate::Stays),
            ("TaskRun", Fate::Stays),
            ("Job", Fate::EndsByItself),
        ] {
            assert_eq!(of(owner, false, None), fate, "{owner}");
            assert_eq!(of(owner, false, Some("never")), Fate::Stays, "{owner}");
        }
        assert_eq!(of("DaemonSet", true, None), Fate::AwaitsOperator);
        assert_eq!(of("StatefulSet", true, Some("never")), Fate::Stays);
    }
}
