"""The relations of PostgreSQL's catalog that clients look into, with their columns and types (PostgreSQL 15, 53 and 37).

A column without a type is a text; `i2s` and `i8s` are lists of whole numbers, `s` one of texts, `t` a moment.
"""

from __future__ import annotations

from functools import cache

_TEXT = """
information_schema.check_constraints: constraint_catalog, constraint_schema, constraint_name, check_clause
information_schema.columns: table_catalog, table_schema, table_name, column_name, ordinal_position i4, column_default, is_nullable, data_type,
  character_maximum_length i4, character_octet_length i4, numeric_precision i4, numeric_precision_radix i4, numeric_scale i4, datetime_precision i4,
  interval_type, interval_precision i4, character_set_catalog, character_set_schema, character_set_name, collation_catalog, collation_schema,
  collation_name, domain_catalog, domain_schema, domain_name, udt_catalog, udt_schema, udt_name, scope_catalog, scope_schema, scope_name,
  maximum_cardinality i4, dtd_identifier, is_self_referencing, is_identity, identity_generation, identity_start, identity_increment, identity_maximum,
  identity_minimum, identity_cycle, is_generated, generation_expression, is_updatable
information_schema.constraint_column_usage: table_catalog, table_schema, table_name, column_name, constraint_catalog, constraint_schema,
  constraint_name
information_schema.element_types: object_catalog, object_schema, object_name, object_type, collection_type_identifier, data_type,
  character_maximum_length i4, character_octet_length i4, character_set_catalog, character_set_schema, character_set_name, collation_catalog,
  collation_schema, collation_name, numeric_precision i4, numeric_precision_radix i4, numeric_scale i4, datetime_precision i4, interval_type,
  interval_precision i4, domain_default, udt_catalog, udt_schema, udt_name, scope_catalog, scope_schema, scope_name, maximum_cardinality i4,
  dtd_identifier
information_schema.key_column_usage: constraint_catalog, constraint_schema, constraint_name, table_catalog, table_schema, table_name, column_name,
  ordinal_position i4, position_in_unique_constraint i4
information_schema.parameters: specific_catalog, specific_schema, specific_name, ordinal_position i4, parameter_mode, is_result, as_locator,
  parameter_name, data_type, character_maximum_length i4, character_octet_length i4, character_set_catalog, character_set_schema, character_set_name,
  collation_catalog, collation_schema, collation_name, numeric_precision i4, numeric_precision_radix i4, numeric_scale i4, datetime_precision i4,
  interval_type, interval_precision i4, udt_catalog, udt_schema, udt_name, scope_catalog, scope_schema, scope_name, maximum_cardinality i4,
  dtd_identifier, parameter_default
information_schema.referential_constraints: constraint_catalog, constraint_schema, constraint_name, unique_constraint_catalog,
  unique_constraint_schema, unique_constraint_name, match_option, update_rule, delete_rule
information_schema.routines: specific_catalog, specific_schema, specific_name, routine_catalog, routine_schema, routine_name, routine_type,
  module_catalog, module_schema, module_name, udt_catalog, udt_schema, udt_name, data_type, character_maximum_length i4, character_octet_length i4,
  character_set_catalog, character_set_schema, character_set_name, collation_catalog, collation_schema, collation_name, numeric_precision i4,
  numeric_precision_radix i4, numeric_scale i4, datetime_precision i4, interval_type, interval_precision i4, type_udt_catalog, type_udt_schema,
  type_udt_name, scope_catalog, scope_schema, scope_name, maximum_cardinality i4, dtd_identifier, routine_body, routine_definition, external_name,
  external_language, parameter_style, is_deterministic, sql_data_access, is_null_call, sql_path, schema_level_routine, max_dynamic_result_sets i4,
  is_user_defined_cast, is_implicitly_invocable, security_type, to_sql_specific_catalog, to_sql_specific_schema, to_sql_specific_name, as_locator,
  created t, last_altered t, new_savepoint_level, is_udt_dependent, result_cast_from_data_type, result_cast_as_locator, result_cast_char_max_length
  i4, result_cast_char_octet_length i4, result_cast_char_set_catalog, result_cast_char_set_schema, result_cast_char_set_name,
  result_cast_collation_catalog, result_cast_collation_schema, result_cast_collation_name, result_cast_numeric_precision i4,
  result_cast_numeric_precision_radix i4, result_cast_numeric_scale i4, result_cast_datetime_precision i4, result_cast_interval_type,
  result_cast_interval_precision i4, result_cast_type_udt_catalog, result_cast_type_udt_schema, result_cast_type_udt_name, result_cast_scope_catalog,
  result_cast_scope_schema, result_cast_scope_name, result_cast_maximum_cardinality i4, result_cast_dtd_identifier
information_schema.schemata: catalog_name, schema_name, schema_owner, default_character_set_catalog, default_character_set_schema,
  default_character_set_name, sql_path
information_schema.sequences: sequence_catalog, sequence_schema, sequence_name, data_type, numeric_precision i4, numeric_precision_radix i4,
  numeric_scale i4, start_value, minimum_value, maximum_value, increment, cycle_option
information_schema.table_constraints: constraint_catalog, constraint_schema, constraint_name, table_catalog, table_schema, table_name,
  constraint_type, is_deferrable, initially_deferred, enforced, nulls_distinct
information_schema.table_privileges: grantor, grantee, table_catalog, table_schema, table_name, privilege_type, is_grantable, with_hierarchy
information_schema.tables: table_catalog, table_schema, table_name, table_type, self_referencing_column_name, reference_generation,
  user_defined_type_catalog, user_defined_type_schema, user_defined_type_name, is_insertable_into, is_typed, commit_action
information_schema.triggers: trigger_catalog, trigger_schema, trigger_name, event_manipulation, event_object_catalog, event_object_schema,
  event_object_table, action_order i4, action_condition, action_statement, action_orientation, action_timing, action_reference_old_table,
  action_reference_new_table, action_reference_old_row, action_reference_new_row, created t
information_schema.view_table_usage: view_catalog, view_schema, view_name, table_catalog, table_schema, table_name
information_schema.views: table_catalog, table_schema, table_name, view_definition, check_option, is_updatable, is_insertable_into,
  is_trigger_updatable, is_trigger_deletable, is_trigger_insertable_into
pg_catalog.pg_aggregate: aggfnoid, aggkind, aggnumdirectargs i2, aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn,
  aggminvtransfn, aggmfinalfn, aggfinalextra b, aggmfinalextra b, aggfinalmodify, aggmfinalmodify, aggsortop i8, aggtranstype i8, aggtransspace i4,
  aggmtranstype i8, aggmtransspace i4, agginitval, aggminitval
pg_catalog.pg_am: oid i8, amname, amhandler, amtype
pg_catalog.pg_attrdef: oid i8, adrelid i8, adnum i2, adbin
pg_catalog.pg_attribute: attrelid i8, attname, atttypid i8, attstattarget i4, attlen i2, attnum i2, attndims i4, attcacheoff i4, atttypmod i4,
  attbyval b, attalign, attstorage, attcompression, attnotnull b, atthasdef b, atthasmissing b, attidentity, attgenerated, attisdropped b, attislocal
  b, attinhcount i4, attcollation i8, attacl s, attoptions s, attfdwoptions s, attmissingval
pg_catalog.pg_auth_members: roleid i8, member i8, grantor i8, admin_option b
pg_catalog.pg_available_extension_versions: name, version, installed b, superuser b, trusted b, relocatable b, schema, requires s, comment
pg_catalog.pg_available_extensions: name, default_version, installed_version, comment
pg_catalog.pg_cast: oid i8, castsource i8, casttarget i8, castfunc i8, castcontext, castmethod
pg_catalog.pg_class: oid i8, relname, relnamespace i8, reltype i8, reloftype i8, relowner i8, relam i8, relfilenode i8, reltablespace i8, relpages i4,
  reltuples f, relallvisible i4, reltoastrelid i8, relhasindex b, relisshared b, relpersistence, relkind, relnatts i2, relchecks i2, relhasrules b,
  relhastriggers b, relhassubclass b, relrowsecurity b, relforcerowsecurity b, relispopulated b, relreplident, relispartition b, relrewrite i8,
  relfrozenxid i8, relminmxid i8, relacl s, reloptions s, relpartbound
pg_catalog.pg_collation: oid i8, collname, collnamespace i8, collowner i8, collprovider, collisdeterministic b, collencoding i4, collcollate,
  collctype, colliculocale, collversion
pg_catalog.pg_constraint: oid i8, conname, connamespace i8, contype, condeferrable b, condeferred b, convalidated b, conrelid i8, contypid i8,
  conindid i8, conparentid i8, confrelid i8, confupdtype, confdeltype, confmatchtype, conislocal b, coninhcount i4, connoinherit b, conkey i2s,
  confkey i2s, conpfeqop i8s, conppeqop i8s, conffeqop i8s, confdelsetcols i2s, conexclop i8s, conbin
pg_catalog.pg_database: oid i8, datname, datdba i8, encoding i4, datlocprovider, datistemplate b, datallowconn b, datconnlimit i4, datfrozenxid i8,
  datminmxid i8, dattablespace i8, datcollate, datctype, daticulocale, datcollversion, datacl s
pg_catalog.pg_db_role_setting: setdatabase i8, setrole i8, setconfig s
pg_catalog.pg_default_acl: oid i8, defaclrole i8, defaclnamespace i8, defaclobjtype, defaclacl s
pg_catalog.pg_depend: classid i8, objid i8, objsubid i4, refclassid i8, refobjid i8, refobjsubid i4, deptype
pg_catalog.pg_description: objoid i8, classoid i8, objsubid i4, description
pg_catalog.pg_enum: oid i8, enumtypid i8, enumsortorder f, enumlabel
pg_catalog.pg_event_trigger: oid i8, evtname, evtevent, evtowner i8, evtfoid i8, evtenabled, evttags s
pg_catalog.pg_extension: oid i8, extname, extowner i8, extnamespace i8, extrelocatable b, extversion, extconfig i8s, extcondition s
pg_catalog.pg_foreign_data_wrapper: oid i8, fdwname, fdwowner i8, fdwhandler i8, fdwvalidator i8, fdwacl s, fdwoptions s
pg_catalog.pg_foreign_server: oid i8, srvname, srvowner i8, srvfdw i8, srvtype, srvversion, srvacl s, srvoptions s
pg_catalog.pg_foreign_table: ftrelid i8, ftserver i8, ftoptions s
pg_catalog.pg_group: groname, grosysid i8, grolist i8s
pg_catalog.pg_index: indexrelid i8, indrelid i8, indnatts i2, indnkeyatts i2, indisunique b, indnullsnotdistinct b, indisprimary b, indisexclusion b,
  indimmediate b, indisclustered b, indisvalid b, indcheckxmin b, indisready b, indislive b, indisreplident b, indkey i2s, indcollation i8s, indclass
  i8s, indoption i2s, indexprs, indpred
pg_catalog.pg_indexes: schemaname, tablename, indexname, tablespace, indexdef
pg_catalog.pg_inherits: inhrelid i8, inhparent i8, inhseqno i4, inhdetachpending b
pg_catalog.pg_language: oid i8, lanname, lanowner i8, lanispl b, lanpltrusted b, lanplcallfoid i8, laninline i8, lanvalidator i8, lanacl s
pg_catalog.pg_locks: locktype, database i8, relation i8, page i4, tuple i2, virtualxid, transactionid i8, classid i8, objid i8, objsubid i2,
  virtualtransaction, pid i4, mode, granted b, fastpath b, waitstart t
pg_catalog.pg_matviews: schemaname, matviewname, matviewowner, tablespace, hasindexes b, ispopulated b, definition
pg_catalog.pg_namespace: oid i8, nspname, nspowner i8, nspacl s
pg_catalog.pg_opclass: oid i8, opcmethod i8, opcname, opcnamespace i8, opcowner i8, opcfamily i8, opcintype i8, opcdefault b, opckeytype i8
pg_catalog.pg_operator: oid i8, oprname, oprnamespace i8, oprowner i8, oprkind, oprcanmerge b, oprcanhash b, oprleft i8, oprright i8, oprresult i8,
  oprcom i8, oprnegate i8, oprcode, oprrest, oprjoin
pg_catalog.pg_partitioned_table: partrelid i8, partstrat, partnatts i2, partdefid i8, partattrs i2s, partclass i8s, partcollation i8s, partexprs
pg_catalog.pg_policies: schemaname, tablename, policyname, permissive, roles s, cmd, qual, with_check
pg_catalog.pg_policy: oid i8, polname, polrelid i8, polcmd, polpermissive b, polroles i8s, polqual, polwithcheck
pg_catalog.pg_proc: oid i8, proname, pronamespace i8, proowner i8, prolang i8, procost f, prorows f, provariadic i8, prosupport, prokind, prosecdef b,
  proleakproof b, proisstrict b, proretset b, provolatile, proparallel, pronargs i2, pronargdefaults i2, prorettype i8, proargtypes i8s,
  proallargtypes i8s, proargmodes s, proargnames s, proargdefaults, protrftypes i8s, prosrc, probin, prosqlbody, proconfig s, proacl s
pg_catalog.pg_publication: oid i8, pubname, pubowner i8, puballtables b, pubinsert b, pubupdate b, pubdelete b, pubtruncate b, pubviaroot b
pg_catalog.pg_publication_namespace: oid i8, pnpubid i8, pnnspid i8
pg_catalog.pg_publication_rel: oid i8, prpubid i8, prrelid i8, prqual, prattrs i2s
pg_catalog.pg_publication_tables: pubname, schemaname, tablename, attnames s, rowfilter
pg_catalog.pg_range: rngtypid i8, rngsubtype i8, rngmultitypid i8, rngcollation i8, rngsubopc i8, rngcanonical, rngsubdiff
pg_catalog.pg_rewrite: oid i8, rulename, ev_class i8, ev_type, ev_enabled, is_instead b, ev_qual, ev_action
pg_catalog.pg_roles: rolname, rolsuper b, rolinherit b, rolcreaterole b, rolcreatedb b, rolcanlogin b, rolreplication b, rolconnlimit i4, rolpassword,
  rolvaliduntil t, rolbypassrls b, rolconfig s, oid i8
pg_catalog.pg_rules: schemaname, tablename, rulename, definition
pg_catalog.pg_sequence: seqrelid i8, seqtypid i8, seqstart i8, seqincrement i8, seqmax i8, seqmin i8, seqcache i8, seqcycle b
pg_catalog.pg_sequences: schemaname, sequencename, sequenceowner, data_type, start_value i8, min_value i8, max_value i8, increment_by i8, cycle b,
  cache_size i8, last_value i8
pg_catalog.pg_settings: name, setting, unit, category, short_desc, extra_desc, context, vartype, source, min_val, max_val, enumvals s, boot_val,
  reset_val, sourcefile, sourceline i4, pending_restart b
pg_catalog.pg_shdescription: objoid i8, classoid i8, description
pg_catalog.pg_stat_activity: datid i8, datname, pid i4, leader_pid i4, usesysid i8, usename, application_name, client_addr, client_hostname,
  client_port i4, backend_start t, xact_start t, query_start t, state_change t, wait_event_type, wait_event, state, backend_xid i8, backend_xmin i8,
  query_id i8, query, backend_type
pg_catalog.pg_stat_database: datid i8, datname, numbackends i4, xact_commit i8, xact_rollback i8, blks_read i8, blks_hit i8, tup_returned i8,
  tup_fetched i8, tup_inserted i8, tup_updated i8, tup_deleted i8, conflicts i8, temp_files i8, temp_bytes i8, deadlocks i8, checksum_failures i8,
  checksum_last_failure t, blk_read_time f, blk_write_time f, session_time f, active_time f, idle_in_transaction_time f, sessions i8,
  sessions_abandoned i8, sessions_fatal i8, sessions_killed i8, stats_reset t
pg_catalog.pg_statistic_ext: oid i8, stxrelid i8, stxname, stxnamespace i8, stxowner i8, stxstattarget i4, stxkeys i2s, stxkind s, stxexprs
pg_catalog.pg_statistic_ext_data: stxoid i8, stxdinherit b, stxdndistinct, stxddependencies, stxdmcv, stxdexpr
pg_catalog.pg_tables: schemaname, tablename, tableowner, tablespace, hasindexes b, hasrules b, hastriggers b, rowsecurity b
pg_catalog.pg_tablespace: oid i8, spcname, spcowner i8, spcacl s, spcoptions s
pg_catalog.pg_trigger: oid i8, tgrelid i8, tgparentid i8, tgname, tgfoid i8, tgtype i2, tgenabled, tgisinternal b, tgconstrrelid i8, tgconstrindid i8,
  tgconstraint i8, tgdeferrable b, tginitdeferred b, tgnargs i2, tgattr i2s, tgargs, tgqual, tgoldtable, tgnewtable
pg_catalog.pg_type: oid i8, typname, typnamespace i8, typowner i8, typlen i2, typbyval b, typtype, typcategory, typispreferred b, typisdefined b,
  typdelim, typrelid i8, typsubscript, typelem i8, typarray i8, typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typalign,
  typstorage, typnotnull b, typbasetype i8, typtypmod i4, typndims i4, typcollation i8, typdefaultbin, typdefault, typacl s
pg_catalog.pg_user: usename, usesysid i8, usecreatedb b, usesuper b, userepl b, usebypassrls b, passwd, valuntil t, useconfig s
pg_catalog.pg_views: schemaname, viewname, viewowner, definition
"""


@cache
def columns() -> dict[str, dict[str, str]]:
    """By relation, with its schema: the type of each column, `text` where none is said."""
    found: dict[str, dict[str, str]] = {}
    for line in _TEXT.replace("\n  ", " ").split("\n"):
        name, _, listed = line.partition(": ")
        if listed:
            pairs = (one.split(" ") for one in listed.split(", "))
            found[name] = {p[0]: p[1] if len(p) > 1 else "text" for p in pairs}
    return found
