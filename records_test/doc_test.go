// Package records_test has tests of loaders over stores: of what becomes of a value in its record,
// and of what other processes and other releases make of the record.
package records_test
