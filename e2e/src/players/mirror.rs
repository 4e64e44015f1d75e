//! The objects of one kind, kept up to date by a list and a watch, as every real controller does it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::TryStreamExt;
use http::Request;
use kube::{Client, core::WatchEvent};
use ovncilium_core::plan::Resource;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time};

use crate::api::Api;

/// Pause before a kind that is not served, or a broken watch, is tried again.
const AGAIN: Duration = Duration::from_millis(250);

type Objects = BTreeMap<(String, String), Arc<Value>>;

#[derive(Debug, Default)]
struct State {
    /// 0 until the first list.
    revision: u64,
    objects: Objects,
}

/// One kind. Dropping it ends its watch.
pub(super) struct Mirror {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Mirror {
    pub(super) fn start(api: &Api, resource: Resource) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let task = api.spawn(follow(api.client(), resource, Arc::clone(&state)));
        Self { state, task }
    }

    /// Revision and objects; no objects while the kind is not served, `None` before the first list.
    pub(super) fn now(&self) -> Option<(u64, Vec<Arc<Value>>)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.revision > 0).then(|| (state.revision, state.objects.values().cloned().collect()))
    }

    /// The revision alone.
    pub(super) fn revision(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).revision
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lists, then watches; again whenever the watch ends.
async fn follow(client: Client, resource: Resource, state: Arc<Mutex<State>>) {
    loop {
        match list(&client, &resource).await {
            Ok((version, objects)) => {
                change(&state, |old| *old = objects);
                watch(&client, &resource, version, &state).await;
            }
            Err(kube::Error::Api(status)) if status.code == 404 => change(&state, Objects::clear),
            Err(_) => {}
        }
        time::sleep(AGAIN).await;
    }
}

async fn list(client: &Client, resource: &Resource) -> Result<(String, Objects), kube::Error> {
    let mut list: Value = client.request(get(&path(resource))?).await?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
    let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok((version, items.into_iter().map(|object| entry(resource, object)).collect()))
}

/// Follows changes until the server ends the watch or says that the version is too old.
async fn watch(client: &Client, resource: &Resource, version: String, state: &Mutex<State>) {
    let uri = format!("{}?watch=true&resourceVersion={version}", path(resource));
    let Ok(request) = get(&uri) else { return };
    let Ok(events) = client.request_events::<Value>(request).await else { return };
    let mut events = std::pin::pin!(events);
    while let Ok(Some(event)) = events.try_next().await {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let (key, object) = entry(resource, object);
                change(state, |objects| drop(objects.insert(key, object)));
            }
            WatchEvent::Deleted(object) => {
                let (key, _) = entry(resource, object);
                change(state, |objects| drop(objects.remove(&key)));
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(_) => return,
        }
    }
}

fn change(state: &Mutex<State>, change: impl FnOnce(&mut Objects)) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut state.objects);
    state.revision += 1;
}

fn path(resource: &Resource) -> String {
    let root = if resource.group.is_empty() { "/api" } else { "/apis" };
    format!("{root}/{}/{}", resource.api_version(), resource.plural)
}

fn get(uri: &str) -> Result<Request<Vec<u8>>, kube::Error> {
    Request::get(uri)
        .header(http::header::USER_AGENT, "ovncilium-actors")
        .body(Vec::new())
        .map_err(kube::Error::HttpError)
}

/// Key and object; items of a list do not say what they are.
fn entry(resource: &Resource, mut object: Value) -> ((String, String), Arc<Value>) {
    object["apiVersion"] = json!(resource.api_version());
    object["kind"] = json!(resource.kind);
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    ((text("namespace"), text("name")), Arc::new(object))
}
