// Package audit compares the chain with the nodes' records: an answer must be the median of observations that the nodes
// themselves recorded for that round, and every report that a node accepted must have been delivered.
//
// It must not know where either side comes from.
package audit

import (
	"fmt"
	"math/big"
	"slices"
)

// Report is one report as the contract took it.
type Report struct {
	// Answer is the contract's new answer.
	Answer *big.Int
	// Observations are in ascending order.
	Observations []*big.Int
	// Observers are the oracles of the observations.
	Observers []int
}

// Observations finds what the observers of an answer must have observed, from what their nodes recorded, where a chain
// keeps the answer and the observers in the order of their observations and nothing else. The result ascends and has
// the answer in the place of the median. The error says which observer's node recorded nothing that fits.
func Observations(answer *big.Int, observers []int, recorded func(oracle int) []*big.Int) ([]*big.Int, error) {
	var all []*big.Int
	var least *big.Int
	for i, oracle := range observers {
		// The smallest that fits leaves the most for those after it.
		var found *big.Int
		for _, value := range recorded(oracle) {
			middle := i == len(observers)/2
			switch {
			case least != nil && value.Cmp(least) < 0, middle && value.Cmp(answer) != 0, found != nil && value.Cmp(found) >= 0:
			default:
				found = value
			}
		}
		if found == nil {
			return nil, fmt.Errorf("the answer %s has the observer %d in place %d of %d, whose node recorded %s for this "+
				"round, and none of it fits there",
				answer, oracle, i+1, len(observers), recorded(oracle))
		}
		least = found
		all = append(all, found)
	}
	return all, nil
}

// Check says why a report is wrong, or nil. Of the oracles 0…n-1, faulty may be. recorded gives the values that an
// oracle's node recorded for the report's round: more than one when the node had to ask its source again, none when it
// knows of no such round.
func Check(report Report, n, faulty int, recorded func(oracle int) []*big.Int) error {
	if err := Form(report, n, faulty); err != nil {
		return err
	}
	for i, oracle := range report.Observers {
		values := recorded(oracle)
		if len(values) == 0 {
			return fmt.Errorf("the report has the observation %s of observer %d, whose node recorded none for this round",
				report.Observations[i], oracle)
		}
		if !slices.ContainsFunc(values, func(value *big.Int) bool { return value.Cmp(report.Observations[i]) == 0 }) {
			return fmt.Errorf("the report has the observation %s of observer %d, whose node recorded %s for this round",
				report.Observations[i], oracle, values)
		}
	}
	return nil
}

// Form says what is wrong with a report whatever its oracles observed, or nil: it has a value of each of more oracles
// than may be faulty, in order, and answers with the one in the middle.
func Form(report Report, n, faulty int) error {
	if len(report.Observations) != len(report.Observers) {
		return fmt.Errorf("the report has %d observations of %d observers", len(report.Observations), len(report.Observers))
	}
	if len(report.Observations) <= faulty {
		return fmt.Errorf("the report has %d observations, which %d faulty oracles could have made up",
			len(report.Observations), faulty)
	}
	if !slices.IsSortedFunc(report.Observations, (*big.Int).Cmp) {
		return fmt.Errorf("the report's observations %s do not ascend", report.Observations)
	}
	// The upper of the two in the middle when their number is even: the contract takes no mean.
	if median := report.Observations[len(report.Observations)/2]; report.Answer.Cmp(median) != 0 {
		return fmt.Errorf("the answer %s is not the median %s of the observations %s", report.Answer, median,
			report.Observations)
	}
	seen := make(map[int]bool)
	for _, oracle := range report.Observers {
		if oracle < 0 || oracle >= n {
			return fmt.Errorf("the report names observer %d, but there are %d oracles", oracle, n)
		}
		if seen[oracle] {
			return fmt.Errorf("the report has two observations of observer %d", oracle)
		}
		seen[oracle] = true
	}
	return nil
}
