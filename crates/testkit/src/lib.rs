//! TestGateway, builders, frozen clock, fault proxy; a development dependency only.
