package oracle

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// handedOver is the line of a transmission of a node's own.
const handedOver = `level=INFO msg="a report was handed to the relayer" job=`

// TestQuietLog holds that a feed that is well has a line at info for each transmission of the node's own, and no other
// for its rounds.
func TestQuietLog(t *testing.T) {
	// A link that breaks and an epoch that ends, as on a busy machine, have some lines each, which are not of rounds.
	const rounds, chance = 10, 5
	message := regexp.MustCompile(`msg=("[^"]*"|\S+)`)
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprintf("OCR%d", version), func(t *testing.T) {
			n := newProductNetwork(t, version, make([]string, 4)...)
			n.start()
			n.more("the first reports", 3)
			var before []int
			for _, node := range n.nodes {
				before = append(before, len(node.logs.String()))
			}
			n.more("more reports", rounds)
			for i, node := range n.nodes {
				others := map[string][]string{}
				for line := range strings.Lines(node.logs.String()[before[i]:]) {
					if strings.Contains(line, "level=INFO") && !strings.Contains(line, handedOver) {
						said := message.FindString(line)
						others[said] = append(others[said], line)
					}
				}
				for said, lines := range others {
					if len(lines) > chance {
						t.Errorf("in %d rounds node %d has %d lines at info with %s:\n%s", rounds, i, len(lines), said,
							strings.Join(lines, ""))
					}
				}
			}
			n.end()
			for i, node := range n.nodes {
				lines := strings.Count(node.logs.String(), handedOver)
				if sent := n.oracles[i].Facts().Transmission.Well; uint64(lines) != sent {
					t.Errorf("node %d has %d lines of its transmissions, of which it made %d", i, lines, sent)
				}
			}
		})
	}
}
