-- Roles with the least rights that each part needs. Run it as the owner of the database, who may create roles:
--
--     psql --single-transaction -v ON_ERROR_STOP=1 -f deploy/roles.sql "$OWNERS_URL"
--
-- 1. Run it. 2. `payments migrate` as payments_migrator. 3. Run it again, as after each later `payments migrate`: now the
-- tables are there to grant. It may be repeated; it takes away what an earlier release granted and this one does not need.
-- Passwords are yours to set, as in: ALTER ROLE payments_app PASSWORD '...'. A person who decides on refunds gets a role
-- of their own: CREATE ROLE anna LOGIN IN ROLE payments_app.
--
--     payments_migrator   owns the tables: `payments migrate`
--     payments_app        `consume`, `sweep`, `webhooks`, and the commands of operators
--     payments_relay      `relay`
--     payments_reader     reads all but payment tokens: `order show`, `audit`, analysts
--     payments_restorer   `journal republish`: puts events into the outbox again; it changes no order

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['payments_migrator', 'payments_app', 'payments_relay', 'payments_reader',
                              'payments_restorer'] LOOP
    IF to_regrole(role) IS NULL THEN
      EXECUTE format('CREATE ROLE %I LOGIN', role);
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
  END LOOP;
  -- The audit lists orders in temporary tables.
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO payments_app, payments_reader', current_database());
  EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
  EXECUTE format('GRANT CREATE ON SCHEMA %I TO payments_migrator', current_schema());
  IF NOT pg_has_role(current_user, 'payments_migrator', 'USAGE') THEN
    EXECUTE format('GRANT payments_migrator TO %I', current_user);
  END IF;
END $$;

DO $$
DECLARE
  tables regclass[];
  one regclass;
  names text;
BEGIN
  IF to_regclass('orders') IS NULL THEN
    RAISE NOTICE 'no tables yet: run payments migrate as payments_migrator, then this file again';
    RETURN;
  END IF;
  tables := ARRAY(SELECT c.oid::regclass FROM pg_class c
                   WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                     AND NOT c.relispartition);
  FOREACH one IN ARRAY tables LOOP
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, payments_app, payments_relay, payments_reader, payments_restorer',
                   one);
  END LOOP;

  -- The pipeline. What it never deletes, it may not delete; what is only appended, it may not change.
  GRANT SELECT, INSERT, UPDATE ON orders, attempt, operation, reservation, dispute, order_request, stock, notification,
    dead_letter, low_water, passed_stretch, quarantine TO payments_app;
  GRANT SELECT, INSERT ON inbox, event, outbox, stock_adjustment, redrive, resolution TO payments_app;
  GRANT SELECT, INSERT, UPDATE, DELETE ON early_message, message, gateway_notice, review, audit_run TO payments_app;
  GRANT SELECT ON relay_lease, alembic_version TO payments_app;
  -- What every start and every command asks on the schema of a newer release.
  GRANT SELECT ON migration TO payments_app, payments_relay, payments_restorer;
  GRANT SELECT, INSERT, UPDATE, DELETE ON process TO payments_app, payments_relay;
  GRANT USAGE ON SEQUENCE order_number_seq, event_id_seq TO payments_app;
  GRANT EXECUTE ON FUNCTION inbox_make_day(date), inbox_finish_day(date), inbox_drop_day(date) TO payments_app;

  GRANT SELECT ON event, dead_letter, alembic_version, inbox TO payments_relay;
  GRANT SELECT, UPDATE, DELETE ON outbox TO payments_relay;
  GRANT SELECT, INSERT, UPDATE ON relay_lease TO payments_relay;
  GRANT SELECT, INSERT ON quarantine TO payments_relay;

  -- It moves what waits in the outbox to its place among what is sent again.
  GRANT SELECT ON event, alembic_version TO payments_restorer;
  GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO payments_restorer;

  -- Whoever reads gets no payment tokens: they stand in these columns while an attempt may still need them.
  FOREACH one IN ARRAY tables LOOP
    SELECT string_agg(quote_ident(a.attname), ', ') INTO names FROM pg_attribute a
     WHERE a.attrelid = one AND a.attnum > 0 AND NOT a.attisdropped
       AND (one::text, a.attname::text) NOT IN
           (('attempt', 'token'), ('dead_letter', 'original'), ('early_message', 'body'));
    EXECUTE format('GRANT SELECT (%s) ON %s TO payments_reader', names, one);
  END LOOP;
END $$;
