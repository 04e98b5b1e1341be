//! Every SQL query, tenant transactions, roles, row types; embeds the migrations.
