package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
)

// How the answers of a product can be checked.
const (
	checkNone   = "none"
	checkRange  = "range"
	checkMedian = "median"
	checkTWAP   = "twap"
)

// product is the product by which the nodes agree in place of the median.
type product struct {
	name   string // of its plugin
	ocr    int
	config []byte // in the contract
	check  string
	window int64 // of a time-weighted average, in seconds
}

// productOf reads the user's settings of a product besides its command; nil if the user chose none.
func productOf(config Config, kind, name string) (*product, error) {
	if config.OCR != 0 && config.OCR != 2 && config.OCR != 3 {
		return nil, fmt.Errorf("--ocr is %d; the versions are 2 and 3", config.OCR)
	}
	if config.Product == "" {
		switch {
		case config.OCR == 3:
			return nil, errors.New(
				"--ocr is 3, and the median runs on OCR2 alone; leave it out, or name a product for OCR3 by --product",
			)
		case config.ProductConfig != "":
			return nil, errors.New("--product-config is a product's, and there is none; name it by --product")
		case config.NoLostVotes:
			return nil, errors.New("--no-lost-votes is for products over OCR3, and there is none; name it by --product")
		case config.Check != "":
			return nil, errors.New(
				"--check is for the answers of a product, and the median's are always checked; name a product by " +
					"--product",
			)
		}
		return nil, nil
	}
	if kind != chainEVM {
		return nil, fmt.Errorf(
			"--product is for feeds on EVM chains, and --chain is %s, where devnet configures feeds for the median; "+
				"leave one of them out",
			kind,
		)
	}
	p := &product{name: name, ocr: config.OCR, check: config.Check}
	if p.ocr == 0 {
		p.ocr = 3
	}
	if config.NoLostVotes && p.ocr != 3 {
		return nil, fmt.Errorf("--no-lost-votes counts OCR3's votes, and --ocr is %d; leave one of them out", p.ocr)
	}
	var err error
	if p.config, err = productConfig(config.ProductConfig); err != nil {
		return nil, err
	}
	return p, p.chooseCheck(config)
}

// productConfig is JSON as it is, or what a file holds.
func productConfig(given string) ([]byte, error) {
	if given == "" || json.Valid([]byte(given)) {
		return []byte(given), nil
	}
	content, err := os.ReadFile(given)
	if err != nil {
		return nil, fmt.Errorf("--product-config is neither JSON nor a file that can be read: %w", err)
	}
	return content, nil
}

func (p *product) chooseCheck(config Config) error {
	// Devnet knows nothing of the prices that others tell, nor of what a template makes of its own.
	foreign := ""
	switch {
	case config.Source != "":
		foreign = "--source"
	case config.JobTemplate != "":
		foreign = "--job-template"
	}
	switch {
	case p.check == "" && foreign != "":
		p.check = checkNone
	case p.check == "":
		p.check = checkRange
	case !slices.Contains([]string{checkNone, checkRange, checkMedian, checkTWAP}, p.check):
		return fmt.Errorf(
			"--check is %q; the checks are %s, %s, %s and %s",
			p.check, checkRange, checkMedian, checkTWAP, checkNone,
		)
	case p.check != checkNone && foreign != "":
		return fmt.Errorf(
			"--check %s compares answers with devnet's prices, and with %s they are made of others; choose one of "+
				"them",
			p.check, foreign,
		)
	}
	if p.check != checkTWAP {
		return nil
	}
	if p.ocr != 3 {
		return fmt.Errorf(
			"--check %s follows the outcomes of OCR3, and --ocr is %d; choose another check",
			checkTWAP, p.ocr,
		)
	}
	said := struct{ Window int64 }{Window: 60}
	if len(p.config) > 0 {
		if err := json.Unmarshal(p.config, &said); err != nil || said.Window < 1 {
			return fmt.Errorf(
				`--check %s reads the window from the product's configuration, as {"window": SECONDS}, and it is %.100q`,
				checkTWAP, p.config,
			)
		}
	}
	p.window = said.Window
	return nil
}

// onChain is what the contract is told of a product.
func (p *product) onChain() *evm.Product {
	if p == nil {
		return nil
	}
	return &evm.Product{OCR: p.ocr, Config: p.config}
}

// ocr is the version of the protocol.
func (n *network) ocr() int {
	if n.product == nil {
		return 2
	}
	return n.product.ocr
}

// claim says what was found of every answer.
func (n *network) claim() string {
	if n.product == nil {
		return "is the median of what the nodes recorded"
	}
	switch n.product.check {
	case checkRange:
		return "lies within the prices that the nodes were told"
	case checkMedian:
		return "is the median of prices that its nodes were told"
	case checkTWAP:
		return fmt.Sprintf(
			"is the average over %d s that comes of the prices which the nodes were told",
			n.product.window,
		)
	}
	return "is what the contract took: how the product comes to it is not known"
}

// doubt says why that was not found of some answers.
func (n *network) doubt() string {
	if n.product == nil {
		return "of which a node took its observation with it when it was killed"
	}
	return "behind so many outcomes of which nothing landed that they can have come of anything"
}

// toldSlack is how long before or after an outcome's time one of its observations may have been told, in seconds: a
// leader that waits for it is replaced a little later.
const toldSlack = 4

// checkProduct checks an answer of a product.
func (n *network) checkProduct(t transmission) (verified bool, err error) {
	report := audit.Report{Answer: t.Answer, Observations: t.Observations, Observers: t.Observers}
	if err := audit.Form(report, len(n.members), ocr2.Faulty(len(n.members))); err != nil {
		return false, err
	}
	if n.product.check == checkNone {
		return true, nil
	}
	// No median of them and no average lies outside.
	least, most := n.prices.Range()
	if least == nil || t.Answer.Cmp(least) < 0 || t.Answer.Cmp(most) > 0 {
		return false, fmt.Errorf("the answer is %s, and the prices that the nodes were told are %s to %s",
			decimal(t.Answer), decimalOf(least), decimalOf(most))
	}
	at := int64(t.ObservationsTimestamp)
	switch n.product.check {
	case checkMedian:
		return true, audit.Check(report, len(n.members), ocr2.Faulty(len(n.members)), func(oracle int) []*big.Int {
			return n.told(oracle, at-toldSlack, at+toldSlack)
		})
	case checkTWAP:
		if n.average == nil {
			n.average = audit.NewAverage(n.product.window, len(n.members), ocr2.Faulty(len(n.members)), n.told)
		}
		return n.average.Check(audit.Outcome{Number: uint64(t.Epoch), At: at, Observers: t.Observers, Answer: t.Answer})
	}
	return true, nil
}

// told are the prices that a member was told from one second to another, both of them included.
func (n *network) told(oracle int, from, to int64) []*big.Int {
	return n.prices.Told(n.members[oracle].Name(), time.Unix(from, 0), time.Unix(to+1, 0).Add(-1))
}

func decimalOf(units *big.Int) string {
	if units == nil {
		return "none"
	}
	return decimal(units)
}
