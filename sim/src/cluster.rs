//! The pretend cluster: store, clock, helm and actors behind the engine's three traits.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::time::Duration;

use jiff::Timestamp;
use ovncilium_core::plan::{ChartRef, ObjectRef, Resource};
use ovncilium_engine::world::{
    Charts, ChartsError, Clock, Cluster, ClusterError, Eviction, Filter, Heartbeat, Kept, Release, World,
};
use serde_json::Value;

use crate::actors::{Actors, PretendNodes};
use crate::charts::SimCharts;
use crate::clock::{TICK, VirtualClock};
use crate::store::{Client, Store, User, WriteRecord};
use crate::{example, objects};

/// A pretend cluster. One thread; time passes in [`Clock::sleep`] alone, and actors act only then.
///
/// After a [`crate::Fault::kill`] every request of the engine fails, [`Clock::sleep`] returns at once after setting
/// the clock forward, and [`Clock::stop_requested`] says 2: the process is as good as gone. [`Self::revive`] is the
/// next process over the same cluster.
pub struct SimCluster {
    store: Store,
    clock: VirtualClock,
    actors: RefCell<Actors>,
    /// Revision of the store when the last round began.
    seen: Cell<u64>,
}

impl SimCluster {
    /// A cluster without any object.
    pub fn empty(seed: u64) -> Self {
        let clock = VirtualClock::default();
        let store = Store::new(clock.now());
        Self { store, clock, actors: RefCell::new(Actors::pretend(seed)), seen: Cell::new(0) }
    }

    /// A cluster of these objects as they are, definitions of custom kinds first; actors take it from there.
    ///
    /// # Errors
    /// When an object is of a kind that is not known or not defined, or appears twice.
    pub fn of(objects: &[Value], seed: u64) -> Result<Self, ClusterError> {
        let sim = Self::empty(seed);
        for object in objects {
            sim.store.insert(object)?;
        }
        Ok(sim)
    }

    /// The built-in example (see [`example`]), everything in it ready.
    ///
    /// # Errors
    /// Never, unless the example itself is wrong: an object is refused or does not get ready.
    pub fn example(seed: u64) -> Result<Self, ClusterError> {
        Self::ready(&example::objects(), seed)
    }

    /// The same with Kube-OVN installed by Helm; `values` are what its owner gave.
    ///
    /// # Errors
    /// As [`Self::example`].
    pub fn example_by_helm(seed: u64, values: &Value) -> Result<Self, ClusterError> {
        Self::ready(&example::objects_by_helm(values), seed)
    }

    fn ready(objects: &[Value], seed: u64) -> Result<Self, ClusterError> {
        let sim = Self::of(objects, seed)?;
        if sim.settle(Duration::from_secs(300)) {
            Ok(sim)
        } else {
            let message = format!("not ready after five minutes: {}", sim.unready().join(", "));
            Err(ClusterError::Invalid { request: "settle the example cluster".to_owned(), message })
        }
    }

    /// The example after half of Kube-OVN's guide (see [`example::guide`]), its chained network called `network`.
    ///
    /// # Errors
    /// As [`Self::example`].
    pub fn half_guided(seed: u64, network: &str) -> Result<Self, ClusterError> {
        let sim = Self::example(seed)?;
        example::guide::follow(&sim, network)?;
        Ok(sim)
    }

    /// The engine's view of it.
    pub fn world(&self) -> World<'_> {
        World { cluster: self, charts: self, clock: self }
    }

    /// The API server, to look into and to meddle with.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A client of somebody who is not the engine: no fault hits it.
    pub fn person(&self) -> Client<'_> {
        self.store.as_user(User::Person)
    }

    /// The clock.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// What is on the nodes and in OVN.
    pub fn nodes(&self) -> Ref<'_, PretendNodes> {
        Ref::map(self.actors.borrow(), Actors::nodes)
    }

    /// The same, to be meddled with.
    pub fn nodes_mut(&self) -> RefMut<'_, PretendNodes> {
        RefMut::map(self.actors.borrow_mut(), Actors::nodes_mut)
    }

    /// Every write so far.
    pub fn log(&self) -> Vec<WriteRecord> {
        self.store.log()
    }

    /// A new process of the engine over the same cluster; faults and requests to stop are over.
    pub fn revive(&self) {
        self.store.revive();
        self.clock.request_stop(0);
    }

    /// Lets time pass, whatever became of the engine, until every pod is ready and nothing changes any more; `false`
    /// when `limit` came first.
    pub fn settle(&self, limit: Duration) -> bool {
        let end = self.clock.now() + limit;
        while self.clock.now() < end {
            let before = self.store.revision();
            self.pass_time(Duration::from_secs(3));
            if before == self.store.revision() && self.unready().is_empty() {
                return true;
            }
        }
        false
    }

    /// Lets time pass, whatever became of the engine.
    pub fn pass_time(&self, duration: Duration) {
        let end = self.clock.now() + duration;
        while self.clock.now() < end {
            let left = Duration::try_from(end.duration_since(self.clock.now())).unwrap_or_default();
            self.clock.advance(left.min(TICK));
            self.store.set_now(self.clock.now());
            self.round();
        }
    }

    /// Pods that are neither ready nor ended, as `namespace/name`.
    pub fn unready(&self) -> Vec<String> {
        let pods = self.person().list(&Resource::PODS, &Filter::all()).unwrap_or_default();
        let unready = pods.iter().filter(|pod| !objects::ready(pod) && !objects::ended(pod));
        unready.map(|pod| format!("{}/{}", objects::namespace(pod), objects::name(pod))).collect()
    }

    /// One round of the actors, if anything changed or is due.
    fn round(&self) {
        let now = self.clock.now();
        let mut actors = self.actors.borrow_mut();
        let revision = self.store.revision();
        if revision == self.seen.get() && actors.wake().is_none_or(|wake| wake > now) {
            return;
        }
        self.seen.set(revision);
        self.store.collect_garbage();
        // What the store refuses an actor shows in the log, with the reason.
        let _ = actors.tick(&self.store.as_user(User::Actors), now);
    }

    fn engine(&self) -> Client<'_> {
        self.store.as_user(User::Engine)
    }

    fn helm(&self) -> Result<SimCharts<'_>, ChartsError> {
        if self.store.killed() {
            let message = "the process is gone".to_owned();
            return Err(ChartsError::Failed { command: "start".to_owned(), message });
        }
        Ok(SimCharts::new(&self.store))
    }
}

impl Clock for SimCluster {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn since_boot(&self) -> Duration {
        self.clock.since_boot()
    }

    fn sleep(&self, duration: Duration) {
        if self.store.killed() {
            self.clock.advance(duration);
            self.store.set_now(self.clock.now());
            return;
        }
        let end = self.clock.now() + duration;
        while self.clock.now() < end && self.stop_requested() < 2 {
            let left = Duration::try_from(end.duration_since(self.clock.now())).unwrap_or_default();
            self.pass_time(left.min(TICK));
        }
    }

    fn stop_requested(&self) -> u8 {
        if self.store.killed() { 2 } else { self.clock.stop_requested() }
    }
}

impl Cluster for SimCluster {
    fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        self.engine().get(object)
    }

    fn list(&self, resource: &Resource, filter: &Filter) -> Result<Vec<Value>, ClusterError> {
        self.engine().list(resource, filter)
    }

    fn create(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        self.engine().create(resource, value)
    }

    fn replace(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        self.engine().replace(resource, value)
    }

    fn json_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        self.engine().json_patch(object, patch)
    }

    fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ClusterError> {
        self.engine().delete(object, uid)
    }

    fn evict(&self, namespace: &str, pod: &str, uid: &str) -> Result<Eviction, ClusterError> {
        self.engine().evict(namespace, pod, uid)
    }

    fn server(&self) -> String {
        self.engine().server()
    }
}

impl Charts for SimCluster {
    fn chart(&self) -> Result<ChartRef, ChartsError> {
        self.helm()?.chart()
    }

    fn archive(&self) -> Result<Vec<u8>, ChartsError> {
        self.helm()?.archive()
    }

    fn own_values(&self) -> &Value {
        &Value::Null
    }

    fn render(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError> {
        self.helm()?.render(release, namespace, values)
    }

    fn release(&self, release: &str, namespace: &str) -> Result<Option<Release>, ChartsError> {
        self.helm()?.release(release, namespace)
    }

    fn upgrade(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError> {
        self.helm()?.upgrade(release, namespace, values, beat)
    }

    fn kept(&self, release: &str, namespace: &str) -> Result<Option<Kept>, ChartsError> {
        self.helm()?.kept(release, namespace)
    }

    fn render_kept(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError> {
        self.helm()?.render_kept(release, namespace, values)
    }

    fn upgrade_kept(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError> {
        self.helm()?.upgrade_kept(release, namespace, values, beat)
    }

    fn uninstall(&self, release: &str, namespace: &str, beat: &mut Heartbeat<'_>) -> Result<(), ChartsError> {
        self.helm()?.uninstall(release, namespace, beat)
    }
}
