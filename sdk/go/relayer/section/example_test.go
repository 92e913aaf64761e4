package section_test

import (
	"fmt"

	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// What every chain's section has is checked here: its id, and its RPC nodes by name and address.
func ExampleCheck() {
	var problems document.Problems
	chain := section.Check(&problems, "Oak", "oaknet", true, []section.Node{{Name: "a"}, {Name: "a"}})
	chain.Address("Nodes[0].URL", "a", document.NewSecret("ftp://user:password@host"), "http", "https")
	for _, problem := range problems.List() {
		fmt.Println(problem)
	}
	// Output:
	// Nodes[1].Name: node "a" of Oak chain "oaknet" has the name of an earlier one
	// Nodes[0].URL: the address of node "a" of Oak chain "oaknet" is not a http:// or https:// URL
}
