package pipeline

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// textTask applies one function to a text.
type textTask struct {
	input parameter
	apply func(value any) (any, error)
}

func textKind(apply func(any) (any, error)) func(*builder) behaviour {
	return func(b *builder) behaviour {
		return &textTask{input: b.needInput(b.text("input")), apply: apply}
	}
}

func (t *textTask) evaluate(s scope) (any, error) {
	value, err := t.input.operand(s)
	if err != nil {
		return nil, err
	}
	return t.apply(value)
}

func uppercase(value any) (any, error) {
	text, err := asText(value)
	return strings.ToUpper(text), err
}

func lowercase(value any) (any, error) {
	text, err := asText(value)
	return strings.ToLower(text), err
}

// length counts bytes: of a text that begins with 0x, those that it stands for.
func length(value any) (any, error) {
	if text, ok := value.(string); ok && strings.HasPrefix(text, "0x") {
		decoded, err := unhex(text)
		return int64(len(decoded)), err
	}
	text, err := asText(value)
	return int64(len(text)), err
}

// hexEncode writes the bytes of a text in hexadecimal digits, or a whole number.
func hexEncode(value any) (any, error) {
	if text, err := asText(value); err == nil {
		return hexText([]byte(text)), nil
	}
	d, err := number(value)
	if err != nil {
		return nil, fmt.Errorf("the input is %s, and neither a text nor a number", describe(value))
	}
	if !d.IsInteger() || d.IsNegative() {
		return nil, fmt.Errorf("%s is not a whole number from 0 on", quoteNumber(d.String()))
	}
	return fmt.Sprintf("%#x", d.BigInt()), nil
}

func hexDecode(value any) (any, error) {
	text, err := asText(value)
	if err != nil {
		return nil, err
	}
	return unhex(text)
}

// unhex reads a text of 0x and hexadecimal digits.
func unhex(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok {
		return nil, errors.New("the text does not start with 0x")
	}
	decoded, err := hex.DecodeString(digits)
	if err != nil {
		return nil, errors.New("the text after 0x is not pairs of hexadecimal digits")
	}
	return decoded, nil
}

func base64Encode(value any) (any, error) {
	text, err := asText(value)
	return base64.StdEncoding.EncodeToString([]byte(text)), err
}

func base64Decode(value any) (any, error) {
	text, err := asText(value)
	if err != nil {
		return nil, err
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the text is not standard base64 with padding")
	}
	return decoded, nil
}

func asText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	default:
		return "", fmt.Errorf("the input is %s, not a text", describe(value))
	}
}
