DROP TABLE sheen.credit_projects;
DROP TABLE sheen.credit_payments;
DROP TABLE sheen.credit_operations;
DROP TABLE sheen.credit_entries;
DROP TABLE sheen.credit_holds;
DROP TABLE sheen.credit_accounts;
DROP FUNCTION sheen.credit_refuse();
