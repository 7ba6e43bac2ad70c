// Reads cases from stdin, and says of each whether the sample takes it.
package main

import (
	"encoding/json"
	"os"
	"time"

	"samples/webhooks"
)

type sample struct {
	Scheme, Secret, ID, Method, URL, Body, Timestamp, Signature string
	Now                                                         int64
}

func main() {
	var cases []sample
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	taken := []bool{}
	for _, one := range cases {
		body, now, ok := []byte(one.Body), time.UnixMilli(one.Now), false
		switch one.Scheme {
		case "hubspot_v1":
			ok = webhooks.VerifyHubspotV1(one.Secret, body, one.Signature)
		case "hubspot_v2":
			ok = webhooks.VerifyHubspotV2(one.Secret, one.Method, one.URL, body, one.Signature)
		case "hubspot_v3":
			ok = webhooks.VerifyHubspotV3(one.Secret, one.Method, one.URL, body, one.Timestamp, one.Signature, now)
		case "standard_webhooks":
			ok = webhooks.VerifyStandardWebhooks(one.Secret, one.ID, one.Timestamp, body, one.Signature, now)
		case "standard_webhooks_ed25519":
			ok = webhooks.VerifyStandardWebhooksEd25519(one.Secret, one.ID, one.Timestamp, body, one.Signature, now)
		}
		taken = append(taken, ok)
	}
	if err := json.NewEncoder(os.Stdout).Encode(taken); err != nil {
		panic(err)
	}
}
