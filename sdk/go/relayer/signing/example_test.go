package signing_test

import (
	"errors"
	"fmt"

	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// A check says what a transaction is, or why it is not signed. On this chain a transaction is the text "report to" and
// a contract.
func ExampleCheck() {
	var check signing.Check = func(request signing.Request, facts signing.Facts) (signing.Verdict, error) {
		for _, contract := range facts.Contracts {
			if string(request.Data) == "report to "+contract.ID {
				return signing.Verdict{Kind: signing.Transmission, Job: contract.Job, To: contract.ID}, nil
			}
		}
		return signing.Verdict{}, errors.New("it calls no contract of a job")
	}

	facts := signing.Facts{Contracts: []signing.Contract{{Job: 3, ID: "feed-1"}}}
	verdict, err := check(signing.Request{Data: []byte("report to feed-1")}, facts)
	fmt.Println(verdict.Kind, verdict.Job, err)
	_, err = check(signing.Request{Data: []byte("pay everything to mallory")}, facts)
	fmt.Println(err)
	// Output:
	// transmission 3 <nil>
	// it calls no contract of a job
}
