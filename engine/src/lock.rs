//! The lock: a Lease that keeps a second operator out, politely. It is not the fence; the journal's epoch is.
//!
//! Expiry is judged by watching: a Lease that did not change for its whole duration on *our* clock is dead, whatever the
//! clock of its holder says.

use std::time::Duration;

use ovncilium_core::plan::Resource;
use ovncilium_core::plan::writes::LOCK;
use serde_json::{Value, json};

use crate::world::{ClusterError, World};

/// Seconds without renewal after which the lock may be taken over.
pub const LEASE_SECONDS: u32 = 20;
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(5);

/// Why the lock is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody alive holds it.
    #[error("the lock is held by {holder}")]
    Held {
        /// Who.
        holder: String,
    },
    /// It could not be read or written.
    #[error("the lock could not be taken")]
    Cluster(#[source] ClusterError),
}

/// The lock in our hands.
pub struct Lock<'a> {
    world: World<'a>,
    namespace: String,
    holder: String,
    object: Value,
    renewed: Duration,
}

impl<'a> Lock<'a> {
    /// Take the lock, after watching a dead holder's Lease for its duration. `waiting` is told once whom we watch.
    ///
    /// # Errors
    /// [`LockError::Held`] when the holder renews it; [`LockError::Cluster`].
    pub fn take(
        world: World<'a>,
        namespace: &str,
        holder: &str,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, LockError> {
        let reference = Resource::LEASES.named(namespace, LOCK);
        let mut watched: Option<(Value, Duration)> = None;
        loop {
            let found = world.cluster.get(&reference).map_err(LockError::Cluster)?;
            let attempt = match found {
                None => world.cluster.create(&Resource::LEASES, &lease(world, namespace, holder, None)),
                Some(found) => {
                    let held_by = found.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default();
                    let version = found.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
                    let since = match &watched {
                        Some((seen, since)) if *seen == version => *since,
                        Some(_) => return Err(LockError::Held { holder: held_by.to_owned() }),
                        None => {
                            if !held_by.is_empty() {
                                waiting(held_by);
                            }
                            world.clock.since_boot()
                        }
                    };
                    let free = held_by.is_empty()
                        || world.clock.since_boot().saturating_sub(since) >= Duration::from_secs(LEASE_SECONDS.into());
                    if !free {
                        watched = Some((version, since));
                        if world.clock.stop_requested() > 0 {
                            return Err(LockError::Held { holder: held_by.to_owned() });
                        }
                        world.clock.sleep(Duration::from_secs(1));
                        continue;
                    }
                    world.cluster.replace(&Resource::LEASES, &lease(world, namespace, holder, Some(&found)))
                }
            };
            match attempt {
                Ok(object) => {
                    return Ok(Self {
                        world,
                        namespace: namespace.to_owned(),
                        holder: holder.to_owned(),
                        object,
                        renewed: world.clock.since_boot(),
                    });
                }
                Err(ClusterError::Conflict { .. } | ClusterError::AlreadyExists { .. }) => {
                    return Err(LockError::Held { holder: "somebody who was quicker".to_owned() });
                }
                Err(error) => return Err(LockError::Cluster(error)),
            }
        }
    }

    /// Renew the lock when it is time to.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody took it: stop.
    pub fn keep(&mut self) -> Result<(), LockError> {
        if self.world.clock.since_boot().saturating_sub(self.renewed) < RENEW {
            return Ok(());
        }
        let object = lease(self.world, &self.namespace, &self.holder, Some(&self.object));
        match self.world.cluster.replace(&Resource::LEASES, &object) {
            Ok(object) => {
                self.object = object;
                self.renewed = self.world.clock.since_boot();
                Ok(())
            }
            Err(ClusterError::Conflict { .. } | ClusterError::NotFound { .. }) => {
                Err(LockError::Held { holder: "somebody who took it over".to_owned() })
            }
            // The journal fences; a missed renewal is tried again in the next round.
            Err(error) if error.is_transient() => Ok(()),
            Err(error) => Err(LockError::Cluster(error)),
        }
    }

    /// Give the lock back: the Lease is removed.
    ///
    /// # Errors
    /// [`LockError::Cluster`].
    pub fn release(&self) -> Result<(), LockError> {
        let uid = self.object.pointer("/metadata/uid").and_then(Value::as_str);
        self.world
            .cluster
            .delete(&Resource::LEASES.named(&self.namespace, LOCK), uid)
            .map(|_| ())
            .map_err(LockError::Cluster)
    }
}

fn lease(world: World<'_>, namespace: &str, holder: &str, before: Option<&Value>) -> Value {
    let now = world.clock.now().round(jiff::Unit::Microsecond).unwrap_or_else(|_| world.clock.now());
    let now = format!("{:.6}", now);
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": LOCK, "namespace": namespace, "labels": { "app.kubernetes.io/managed-by": "ovncilium" } },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now },
    });
    if let Some(before) = before {
        for field in ["resourceVersion", "uid"] {
            if let Some(value) = before.pointer(&format!("/metadata/{field}")) {
                lease["metadata"][field] = value.clone();
            }
        }
    }
    lease
}
