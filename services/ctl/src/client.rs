//! Calls RPCs: signs in, waits no longer than allowed, tries again what can be tried again, turns pages.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, MethodDescriptor, ReflectMessage, Value};
use secrecy::ExposeSecret;
use stagedoor_proto::dynamic::{self, DynamicCodec};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use crate::catalogue::{Catalogue, RpcCommand};
use crate::connection::Connection;
use crate::error::CtlError;
use crate::flags;
use crate::status_report::StatusReport;

/// How long a call may take if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long it is waited before each new attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// A server that asks for more patience than this is left to the user.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The API gives no larger pages.
const LARGEST_PAGE: i32 = 500;
/// Answers are at most so long; pages of 500 of the largest records are far below.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Option<Duration>,
    server: String,
}

impl Client {
    /// Over a connection. Nothing is sent yet.
    pub(crate) fn new(connection: &Connection, timeout: Option<Duration>) -> Result<Self, CtlError> {
        let authorization = connection.key.as_ref().map(|key| {
            let mut value = MetadataValue::try_from(format!("Bearer {}", key.expose_secret()))
                .map_err(|_| CtlError::usage("the admin key has characters that no key has"))?;
            value.set_sensitive(true);
            Ok::<_, CtlError>(value)
        });
        Ok(Self {
            channel: connection.channel()?,
            authorization: authorization.transpose()?,
            timeout,
            server: connection.server.to_string(),
        })
    }

    /// Calls an RPC that answers once.
    pub(crate) async fn call(
        &self,
        rpc: &RpcCommand,
        request: &DynamicMessage,
    ) -> Result<DynamicMessage, CtlError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let mut grpc = self.grpc().await.map_err(|status| self.report(rpc, &status))?;
            let sent = self.request(request.clone(), Some(self.timeout.unwrap_or(TIMEOUT)));
            let codec = DynamicCodec::new(rpc.method.output());
            let status = match grpc.unary(sent, path(&rpc.method)?, codec).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => status,
            };
            let again =
                (status.code() == Code::Unavailable && is_repeatable(rpc, request)).then(|| pauses.next());
            match again.flatten().and_then(|pause| patience(&status, pause)) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(self.report(rpc, &status)),
            }
        }
    }

    /// Calls an RPC by its name, with the types that were generated.
    pub(crate) async fn typed<Q: Message, A: Message + Default>(
        &self,
        catalogue: &Catalogue,
        (group, verb): (&str, &str),
        request: &Q,
    ) -> Result<A, CtlError> {
        let unknown = || CtlError::Answer(format!("this version has no command {group} {verb}"));
        let rpc = catalogue.find(group, verb).ok_or_else(unknown)?;
        let unreadable = |error: prost::DecodeError| CtlError::Answer(error.to_string());
        let mut dynamic = DynamicMessage::new(rpc.method.input());
        dynamic.transcode_from(request).map_err(unreadable)?;
        self.call(rpc, &dynamic).await?.transcode_to().map_err(unreadable)
    }

    /// Calls an RPC that lists, page after page up to `limit` of what `listed` holds, and answers as if it were one page.
    pub(crate) async fn call_pages(
        &self,
        rpc: &RpcCommand,
        mut request: DynamicMessage,
        listed: &FieldDescriptor,
        limit: Option<usize>,
    ) -> Result<DynamicMessage, CtlError> {
        let mut rows: Vec<Value> = Vec::new();
        let chosen_size = request.has_field_by_name(flags::PAGE_SIZE);
        loop {
            if let Some(limit) = limit.filter(|_| !chosen_size) {
                let size = i32::try_from(limit - rows.len()).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE);
                request.set_field_by_name(flags::PAGE_SIZE, Value::I32(size));
            }
            let mut page = self.call(rpc, &request).await?;
            rows.extend(page.get_field(listed).as_list().unwrap_or_default().iter().cloned());
            let enough = limit.is_some_and(|limit| rows.len() >= limit);
            match next_page(&page) {
                Some(token) if !enough => request.set_field_by_name(flags::PAGE_TOKEN, Value::String(token)),
                _ => {
                    if let Some(limit) = limit.filter(|limit| rows.len() > *limit) {
                        rows.truncate(limit);
                        // The rest of this page is not on the next one.
                        page.clear_field_by_name("next_page_token");
                    }
                    page.set_field(listed, Value::List(rows));
                    return Ok(page);
                }
            }
        }
    }

    /// Calls an RPC that answers with a stream.
    pub(crate) async fn stream(
        &self,
        rpc: &RpcCommand,
        request: DynamicMessage,
    ) -> Result<Streaming<DynamicMessage>, CtlError> {
        let mut grpc = self.grpc().await.map_err(|status| self.report(rpc, &status))?;
        let codec = DynamicCodec::new(rpc.method.output());
        let answer =
            grpc.server_streaming(self.request(request, self.timeout), path(&rpc.method)?, codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.report(rpc, &status))
    }

    /// What is made of a status that an RPC ended with.
    pub(crate) fn report(&self, rpc: &RpcCommand, status: &Status) -> CtlError {
        let late = is_timeout(status).then(|| Status::deadline_exceeded("No answer came in time."));
        CtlError::Status(Box::new(StatusReport::read(
            late.as_ref().unwrap_or(status),
            &rpc.flags,
            &self.server,
        )))
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let unavailable = |error| Status::from_error(Box::new(error));
        grpc.ready().await.map_err(unavailable)?;
        Ok(grpc)
    }

    fn request(&self, message: DynamicMessage, timeout: Option<Duration>) -> Request<DynamicMessage> {
        let mut request = Request::new(message);
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }
}

/// The token of the page after this one.
pub(crate) fn next_page(answer: &DynamicMessage) -> Option<String> {
    let token = answer.get_field_by_name("next_page_token")?;
    token.as_str().filter(|token| !token.is_empty()).map(str::to_owned)
}

/// Whether it was this side that gave up waiting; the transport calls that an error of its own.
fn is_timeout(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether a call can be made again although nobody knows whether it had an effect: reading has none, a trial has none,
/// and an id makes the second time the first.
fn is_repeatable(rpc: &RpcCommand, request: &DynamicMessage) -> bool {
    let is_set = |field: &str| {
        request.descriptor().get_field_by_name(field).is_some_and(|field| request.has_field(&field))
    };
    !rpc.writes() || is_set(flags::VALIDATE_ONLY) || is_set(flags::REQUEST_ID)
}

/// How long to wait: what the server asks for, unless that is too long for someone who looks on.
fn patience(status: &Status, pause: Duration) -> Option<Duration> {
    let asked = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    let pause = asked.map_or(pause, |asked| asked.max(pause));
    (pause <= LONGEST_PAUSE).then_some(pause)
}

fn path(method: &MethodDescriptor) -> Result<PathAndQuery, CtlError> {
    dynamic::grpc_path(method).parse().map_err(|error| CtlError::Answer(format!("{error}")))
}
