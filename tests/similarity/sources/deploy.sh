#!/bin/bash
say() {
  echo "$1"
}

function deploy {
  say "deploying"
}
deploy
