//! What is looked at in every request before its work: required fields, and those that mean the same everywhere.

use prost::Message;
use prost_reflect::{DynamicMessage, Value};
use stagedoor_crypto::digest::sha256;
use stagedoor_domain::ErrorCode;
use stagedoor_storage::admin_creates::CreateRequest;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::access::{Method, Scope};
use crate::error::{AdminError, Violation};
use crate::naming;

/// A request as every RPC has it.
pub(crate) struct Checked {
    /// The tenant that it names; empty where it names none.
    pub tenant: String,
    /// Whether it is only to be checked.
    pub validate_only: bool,
    /// The caller's id of it, if it has one.
    pub request_id: Option<Uuid>,
    /// What it is about, for the audit trail: the ids among its fields.
    pub object: String,
    /// SHA-256 of all of it.
    pub digest: [u8; 32],
}

impl Checked {
    /// Reads `request` as a request of `method`.
    pub(crate) fn new(method: &Method, request: &impl Message) -> Result<Self, AdminError> {
        let mut bytes = request.encode_to_vec();
        let read = DynamicMessage::decode(method.input.clone(), &*bytes);
        let message = read.map_err(|error| AdminError::internal(&error))?;
        let missing = method.required.iter().filter(|field| !message.has_field(field));
        let missing = missing.map(|field| Violation {
            field: field.name().to_owned(),
            description: "It is missing; a request must set it.".to_owned(),
        });
        let mut violations: Vec<_> = missing.collect();
        let text = |name: &str| match message.get_field_by_name(name).as_deref() {
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        };
        let request_id = match &*text("request_id") {
            "" => None,
            given => {
                let id = Uuid::try_parse(given).ok().filter(|_| given.len() == Hyphenated::LENGTH);
                // In capitals or not, it is the same request.
                if let Some(at) = bytes.windows(given.len()).position(|part| part == given.as_bytes()) {
                    bytes[at..at + given.len()].make_ascii_lowercase();
                }
                if id.is_none() {
                    violations.push(Violation {
                        field: "request_id".to_owned(),
                        description: "It is no UUID; wanted: such as 6f2f8a52-3c4f-4f0e-9d54-0f2b8d1f7a10."
                            .to_owned(),
                    });
                }
                id
            }
        };
        if !violations.is_empty() {
            return Err(AdminError::fields(violations));
        }
        let validate_only = message.get_field_by_name("validate_only").and_then(|value| value.as_bool());
        let (tenant, object) = (text("tenant"), naming::of_request(&message));
        Ok(Self {
            tenant,
            validate_only: validate_only.unwrap_or_default(),
            request_id,
            object,
            digest: sha256(&[b"stagedoor/admin-request/1".as_slice(), &bytes]),
        })
    }

    /// The request to make something, if the caller named it.
    pub(crate) fn create_request(&self, method: &Method, caller: &str) -> Option<CreateRequest> {
        let id = self.request_id?;
        // What is made in a tenant is another thing than what the same request makes in another.
        let tenant = if method.access.scope == Scope::Tenant { self.tenant.as_str() } else { "" };
        let text = [method.name, caller, tenant].join("\0");
        let parts: [&[u8]; 3] = [b"stagedoor/create/1", text.as_bytes(), id.as_bytes()];
        Some(CreateRequest { request: sha256(&parts), body: self.digest })
    }
}

/// The same request id stands for something else.
pub(crate) fn otherwise() -> AdminError {
    AdminError::new(
        ErrorCode::IdempotencyMismatch,
        "request_id: Another request was made with it; nothing was done.",
        "Take a new UUID for each thing that is to be made.",
    )
}
