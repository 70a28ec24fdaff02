//! The promises S1 to S12, each a function that is named as a sentence.
