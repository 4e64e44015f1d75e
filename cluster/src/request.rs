//! One HTTP request to the API server, with its limits and retries.
//!
//! Reads are tried again on 429, 5xx and broken connections, a few times and for a few seconds; writes only when the server says
//! by 429 and `Retry-After` that it did nothing. Whoever waits longer is the engine, between its steps.

use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode, header};
use kube::client::{AuthError, Body};

use crate::causes;

/// Tries of one request, the first included.
const TRIES: u32 = 4;
/// First pause between tries; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Broken connections are tried again only so soon: a server that is gone should be named quickly.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// When a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It changes nothing.
    Read,
    /// It changes something: only when the server asks for it.
    Write,
    /// Never: the caller reads every answer.
    Never,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) again: Again,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
}

/// No answer came back.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) message: String,
}

/// Sends `call`, again where that is safe; returns the last answer whatever its status.
pub(crate) async fn send(client: &kube::Client, limit: Option<Duration>, call: &Call) -> Result<Answer, NoAnswer> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    for tries in 1.. {
        let outcome = once(client, limit, call).await;
        let wait = match &outcome {
            _ if tries >= TRIES => None,
            Ok(answer) => answer.wait(call.again, pause),
            Err(failure) => {
                let soon = started.elapsed() < CONNECT_PATIENCE;
                (call.again == Again::Read && failure.broken && soon).then_some(pause)
            }
        };
        match (wait, outcome) {
            (Some(wait), _) => tokio::time::sleep(wait).await,
            (None, Ok(answer)) => return Ok(answer),
            (None, Err(failure)) => return Err(NoAnswer { message: failure.message }),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(NoAnswer { message: "tried too often".to_owned() })
}

impl Answer {
    /// How long to wait before the same request, or `None` when this answer stands.
    fn wait(&self, again: Again, pause: Duration) -> Option<Duration> {
        let asked = self.retry_after.map(|asked| asked.min(LONGEST_PAUSE));
        match (again, self.status) {
            (Again::Read, StatusCode::TOO_MANY_REQUESTS) => Some(asked.unwrap_or(pause)),
            (Again::Read, status) if status.is_server_error() => Some(asked.unwrap_or(pause)),
            (Again::Write, StatusCode::TOO_MANY_REQUESTS) => asked,
            _ => None,
        }
    }
}

/// A try without an answer.
struct Failure {
    message: String,
    /// The connection was refused, reset or cut, as opposed to a limit of ours or a refusal of TLS or credentials.
    broken: bool,
}

async fn once(client: &kube::Client, limit: Option<Duration>, call: &Call) -> Result<Answer, Failure> {
    let request = Request::builder()
        .method(call.method.clone())
        .uri(&call.path)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, call.content_type)
        .body(Body::from(call.body.clone()))
        .map_err(|error| Failure { message: causes::chain(&error), broken: false })?;
    let exchange = async {
        let response = client.send(request).await?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = response.into_body().collect_bytes().await?.to_vec();
        Ok(Answer { status, body, retry_after })
    };
    let outcome = match limit {
        Some(limit) => tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| Failure { message: format!("no answer within {} s", limit.as_secs()), broken: false })?,
        None => exchange.await,
    };
    outcome.map_err(|error: kube::Error| Failure { message: describe(&error), broken: is_broken(&error) })
}

/// The error for a person. A credential plugin's output is not shown: it may be a token.
pub(crate) fn describe(error: &kube::Error) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some((command, message)) = cause.downcast_ref::<AuthError>().and_then(exec_plugin) {
            return format!("credential plugin `{command}`: {message}");
        }
        next = cause.source();
    }
    causes::chain(error)
}

/// Command and words of a credential plugin that failed.
pub(crate) fn exec_plugin(error: &AuthError) -> Option<(String, String)> {
    match error {
        AuthError::AuthExecRun { cmd, out } => {
            let stderr = causes::clean(&String::from_utf8_lossy(&out.stderr));
            let message = if stderr.is_empty() { out.status.to_string() } else { format!("{} ({stderr})", out.status) };
            Some((cmd.clone(), message))
        }
        AuthError::AuthExecStart(cause) => Some((String::new(), causes::chain(cause))),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            Some((String::new(), "its output is no ExecCredential".to_owned()))
        }
        AuthError::MissingCommand => Some((String::new(), "the kubeconfig names no command for it".to_owned())),
        _ => None,
    }
}

fn is_broken(error: &kube::Error) -> bool {
    use std::io::ErrorKind;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && matches!(
                io.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
            )
        {
            return true;
        }
        // hyper says so of a connection that ended before the whole answer; its own type is not ours to name.
        let text = cause.to_string();
        if text.contains("connection closed before message completed") || text.contains("unexpected EOF") {
            return true;
        }
        next = cause.source();
    }
    false
}
