package endpoint

import (
	"errors"
	"strings"
	"sync"

	"github.com/gagliardetto/solana-go/rpc"
)

// commitments are those that a node refuses. If blocks are final once they are confirmed, a node may know only
// finalized, which asks for no less than any other and so can stand in for it.
type commitments struct {
	mu      sync.Mutex
	refused map[rpc.CommitmentType]bool
}

// instead is what to ask for in place of a commitment.
func (c *commitments) instead(of rpc.CommitmentType) rpc.CommitmentType {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused[of] {
		return rpc.CommitmentFinalized
	}
	return of
}

// learn takes an answer to a request under a commitment, and reports whether it refuses the commitment.
func (c *commitments) learn(commitment rpc.CommitmentType, answer error) bool {
	const codeInvalidParams = -32602
	refusal := &Refusal{}
	if commitment == rpc.CommitmentFinalized || !errors.As(answer, &refusal) || refusal.Code != codeInvalidParams {
		return false
	}
	said := strings.ToLower(refusal.Message)
	if !strings.Contains(said, "commitment") && !strings.Contains(said, string(commitment)) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[rpc.CommitmentType]bool{}
	}
	c.refused[commitment] = true
	return true
}

// under asks for something under a commitment, and again under finalized if the node refuses that one.
func (c *Client) under(commitment rpc.CommitmentType, ask func(rpc.CommitmentType) error) error {
	commitment = c.commitments.instead(commitment)
	err := ask(commitment)
	if c.commitments.learn(commitment, err) {
		err = ask(rpc.CommitmentFinalized)
	}
	return err
}
