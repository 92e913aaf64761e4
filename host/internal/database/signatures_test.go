package database

import (
	"strings"
	"testing"
)

// TestTrimmingIsByIndex holds that old signatures are found without a look at any others.
func TestTrimmingIsByIndex(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	rows, err := d.reader.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+trimSignatures, "acme", "me", true, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	searches := 0
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(detail, "signatures") {
			searches++
			if !strings.Contains(detail, "INDEX signatures_account (relay=? AND account=? AND <expr>=?") {
				t.Errorf("it is %s", detail)
			}
		}
	}
	if err := rows.Err(); err != nil || searches != 2 {
		t.Errorf("%d searches: %v", searches, err)
	}
}
