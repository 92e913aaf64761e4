package ocr2

import (
	"errors"
	"fmt"

	sol "github.com/gagliardetto/solana-go"
)

// contextLength is the length of a raw report context: digest, epoch and round, extra hash.
const contextLength = 96

// Contract names the accounts of a contract.
type Contract struct {
	// Program is the OCR2 program, State the contract itself, Feed its account in the store and Store the store's program.
	Program, State, Feed, Store sol.PublicKey
}

// Transmit returns the instruction that submits a report. It has no discriminator: the program treats an unknown
// instruction as a transmission. Each signature is r, s and the recovery id in 65 bytes.
func (c Contract) Transmit(transmitter sol.PublicKey, context [3][32]byte, report []byte,
	signatures [][]byte) (*sol.GenericInstruction, error) {
	if len(signatures) == 0 || len(signatures) > MaxOracles {
		return nil, fmt.Errorf("the program takes 1 to %d signatures, got %d", MaxOracles, len(signatures))
	}
	if len(report) != ReportLength {
		return nil, errors.New("the report is not one of this chain's")
	}
	authority, bump, err := StoreAuthority(c.Program, c.State)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 0, 1+contextLength+ReportLength+SignatureLength*len(signatures))
	data = append(data, bump)
	for _, word := range context {
		data = append(data, word[:]...)
	}
	data = append(data, report...)
	for i, signature := range signatures {
		if len(signature) != SignatureLength || signature[64] > 1 {
			return nil, fmt.Errorf("signature %d must be r, s and the recovery id (0 or 1) in %d bytes, got %d bytes",
				i, SignatureLength, len(signature))
		}
		data = append(data, signature...)
	}
	return sol.NewInstruction(c.Program, sol.AccountMetaSlice{
		sol.Meta(c.State).WRITE(),
		sol.Meta(transmitter).SIGNER(),
		sol.Meta(c.Feed).WRITE(),
		sol.Meta(c.Store),
		sol.Meta(authority),
		sol.Meta(sol.SysVarInstructionsPubkey), // the program reads the compute unit price before it there, to reimburse it
	}, data), nil
}
