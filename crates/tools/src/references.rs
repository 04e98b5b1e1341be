//! Which item a call means where a bare id is understood by the account or the services that there are. What needs
//! nothing but the text is in `arguments`.

use stagedoor_domain::{EntityKind, ErrorCode, ItemRef, PublicError, TenantContext};

use crate::accounts::Account;
use crate::arguments::{is_bare_id, item_among, item_at};
use crate::desk::Desk;
use crate::origin::Origin;

impl Desk {
    /// An item and the linked account that a call on it goes through: the one it names, or the only one at the item's
    /// service.
    pub(crate) async fn item_and_account(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        (field, text, kind): (&str, &str, EntityKind),
        account: Option<&str>,
    ) -> Result<(ItemRef, Account), PublicError> {
        if !is_bare_id(text.trim()) {
            let item = item_at(field, text, kind, None)?;
            let account = self.account(ctx, origin, Some(item.provider()), account).await?;
            return Ok((item, account));
        }
        match self.account(ctx, origin, None, account).await {
            Ok(account) => Ok((item_at(field, text, kind, Some(account.provider))?, account)),
            // Several services fit: rather the whole reference than one more argument.
            Err(error) if error.code == ErrorCode::AccountAmbiguous => {
                item_at(field, text, kind, None)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// An item of the catalogue; a bare id is understood if only one service is set up.
    pub(crate) async fn catalogue_item(
        &self,
        ctx: &TenantContext,
        (field, text): (&str, &str),
        kinds: &[EntityKind],
    ) -> Result<ItemRef, PublicError> {
        let service = if is_bare_id(text.trim()) {
            let apps = self.apps(ctx).await?;
            if let [only] = &*apps { Some(only.provider) } else { None }
        } else {
            None
        };
        item_among(field, text, kinds, service)
    }
}
