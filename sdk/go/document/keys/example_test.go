package keys_test

import (
	"fmt"

	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// An index says where each key of a document stands, and Closest what a mistyped one stands for.
func ExampleRead() {
	index, err := keys.Read([]byte("RootDir = '/srv'\n\n[Log]\nLevl = 'info'\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, entry := range index.Entries() {
		fmt.Println(entry.Line, entry.Path)
	}
	fmt.Println(keys.Closest("Levl", []string{"Format", "Level"}))
	// Output:
	// 1 RootDir
	// 3 Log
	// 4 Log.Levl
	// Level
}
