//! The commands that are made of the contract: a group for each service, a command for each RPC.

use prost_reflect::{FieldDescriptor, Kind, MethodDescriptor, ServiceDescriptor};
use stagedoor_proto::admin::v1::{AccessScope, Effect};
use stagedoor_proto::dynamic;

use crate::flags::{self, Flag};
use crate::names;

/// All groups, by their names.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) groups: Vec<Group>,
}

/// What one service offers.
#[derive(Debug)]
pub(crate) struct Group {
    /// Such as `agent-keys`.
    pub(crate) name: String,
    pub(crate) service: ServiceDescriptor,
    pub(crate) commands: Vec<RpcCommand>,
}

/// A command that calls an RPC.
#[derive(Debug)]
pub(crate) struct RpcCommand {
    /// Such as `rotate`.
    pub(crate) verb: String,
    pub(crate) method: MethodDescriptor,
    pub(crate) flags: Vec<Flag>,
}

impl Catalogue {
    /// Reads the contract.
    pub(crate) fn load() -> Self {
        let mut groups: Vec<Group> = dynamic::services().map(group).collect();
        groups.sort_by(|one, other| one.name.cmp(&other.name));
        Self { groups }
    }

    /// The command of this name.
    pub(crate) fn find(&self, group: &str, verb: &str) -> Option<&RpcCommand> {
        let group = self.groups.iter().find(|known| known.name == group)?;
        group.commands.iter().find(|command| command.verb == verb)
    }
}

fn group(service: ServiceDescriptor) -> Group {
    let commands = service.methods().map(|method| RpcCommand {
        verb: names::verb(&method),
        flags: flags::of_request(&method.input()),
        method,
    });
    Group { name: names::group(&service), commands: commands.collect(), service }
}

impl RpcCommand {
    /// Whether it changes anything.
    pub(crate) fn writes(&self) -> bool {
        dynamic::access(&self.method).is_some_and(|access| access.effect() == Effect::Write)
    }

    /// Whether it changes the members of an object that a mask names (google.aip.dev/134).
    pub(crate) fn updates(&self) -> bool {
        self.method.input().get_field_by_name(flags::UPDATE_MASK).is_some()
    }

    /// Whether it can be tried without effect.
    pub(crate) fn can_validate_only(&self) -> bool {
        self.method.input().get_field_by_name(flags::VALIDATE_ONLY).is_some()
    }

    /// Whether the tenant that a context names may stand in: the RPC is about an existing one.
    pub(crate) fn is_about_a_tenant(&self) -> bool {
        dynamic::access(&self.method).is_some_and(|access| access.scope() == AccessScope::Tenant)
    }

    /// Whether its answers come in pages.
    pub(crate) fn pages(&self) -> bool {
        self.method.input().get_field_by_name(flags::PAGE_TOKEN).is_some()
    }

    /// Whether its answer is a file in pieces: a stream of bytes.
    pub(crate) fn streams(&self) -> bool {
        self.method.is_server_streaming()
    }

    /// The field of its answer that holds what is listed.
    pub(crate) fn listed(&self) -> Option<FieldDescriptor> {
        let rows = |field: &FieldDescriptor| {
            field.is_list()
                && matches!(field.kind(), Kind::Message(message) if !dynamic::columns(&message).is_empty())
        };
        self.method.output().fields().find(rows)
    }
}
